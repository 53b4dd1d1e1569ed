"""Whether a run in a container will reach the tracking server: a container of its image asks, before the run.

A container has another network, another localhost, other name servers and other certificates than the host,
so that the host reaches a server proves little. Asking takes most of a second; a success is remembered.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainer import concurrency, progress
from trainer.engine import daemon, one_off, run_user
from trainer.engine.run_user import RunUser
from trainer.errors import ImageError
from trainer.tracking import server_version
from trainer.tracking.client import Client
from trainer.tracking.connection import PROBE
from trainer.tracking.endpoint import CONTAINER_HOST, Server
from trainer.tracking.failures import Cause, cause, no_answer, refusal
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

ANSWER_S = 9
PROOF_S = 3600
_SCRIPT = Path(__file__).with_name("ask_server.py")
# Images that are not trainer's may have no Python: then a run cannot use MLflow's client either.
_ASK = (
    "for python in python python3; do command -v $python >/dev/null 2>&1"
    " && exec $python /tmp/ask_server.py /tmp/server.json; done; exit 3"
)
_ASK_FOR_BASH = "command -v bash >/dev/null 2>&1 || exit 4; "
_NO_BASH, _NO_SHELL, _ALARM = 4, 127, 128 + 14  # exit codes
_LISTEN = "Let it listen where containers reach it, and let the firewall pass them."
_ROOTLESS = (
    "A rootless engine's containers do not reach this machine. Have the server in one: trainer server up"
)
_HINTS: Mapping[Cause, str] = {
    "plain": "Write its address with http://",
    "certificate": "Specify the file of its certificate authority in MLFLOW_TRACKING_SERVER_CERT_PATH. The "
    "certificate has to be for the name by which containers ask.",
    "time": _LISTEN,
    "name": "Use a name that containers know: theirs are the engine's name servers, not /etc/hosts.",
    "refused": _LISTEN,
    "unreachable": _LISTEN,
}


@dataclass(frozen=True)
class _Response:
    status_code: int
    reason: str
    text: str


def from_host(client: Client) -> str:
    """The version of the server; raises `TrackingError` within 10 s, whatever hangs, and for one too old."""

    def ask() -> str:
        version = client.version()
        server_version.check(client.server, version)
        client.check()
        return version

    try:
        with progress.asking(client.server.uri):
            return concurrency.call_with_timeout(ANSWER_S, ask)
    except TimeoutError:
        raise no_answer(client.server, "time", "", ANSWER_S) from None


def check(
    workspace: Workspace, client: docker.DockerClient, image: str, server: Server, *,
    network: Mapping[str, object], environment: Mapping[str, str], needs_bash: bool = False,
) -> None:  # fmt: skip
    """`from_container`, unless that went well within the last hour. Raises `TrackingError`."""
    inputs = (
        daemon.endpoint(), image, server.uri, server.username, server.outbound.digest,
        sorted(environment.items()), needs_bash,
    )  # fmt: skip
    proof = workspace.state / "reached" / hashlib.sha256(repr(inputs).encode()).hexdigest()[:32]
    if proof.exists() and 0 <= time.time() - proof.stat().st_mtime < PROOF_S:
        return
    from_container(client, image, server, network=network, environment=environment, needs_bash=needs_bash)
    proof.parent.mkdir(parents=True, exist_ok=True)
    for older in proof.parent.iterdir():
        older.unlink(missing_ok=True)
    proof.touch()


def from_container(
    client: docker.DockerClient, image: str, server: Server, *,
    network: Mapping[str, object], environment: Mapping[str, str], needs_bash: bool = False,
) -> bool:  # fmt: skip
    """Ask the server, at the address that containers have for it, from a container of the image.

    False if the image has nothing to ask with. Raises `TrackingError` within 10 s, `EngineError`, and
    `ImageError` for an image in which no run can be started; with `needs_bash`, none that takes a shell.
    """
    done = one_off.run(
        client,
        image,
        ["sh", "-c", (_ASK_FOR_BASH if needs_bash else "") + _ASK],
        network=network,
        environment=environment,
        files=_files(server, run_user.of(client), environment),
    )
    try:
        payload = json.loads(done.out)
    except ValueError:
        payload = {}
    if done.code == _NO_SHELL:
        raise ImageError(
            "The image has no sh, which trainer starts a run's command with.",
            "Add one (busybox is enough), or run in another image: --image NAME",
        )
    if done.code == _NO_BASH:
        raise ImageError(
            "The image has no bash, which the run's command needs.",
            "Add it, or run in another image: --image NAME",
        )
    if done.code == _ALARM:
        payload = {"kinds": ["Timeout"], "text": ""}
    if "kinds" in payload:
        hints = _hints_of_this_machine(client, server) if _is_of_this_machine(server) else _HINTS
        error = no_answer(server, cause(payload["kinds"], payload["text"]), payload["text"], 8, hints)
    elif "status_code" in payload:
        answer = _Response(payload["status_code"], payload["reason"], payload["text"])
        if answer.status_code < 300:
            return True
        error = refusal(server, answer)
    else:
        return False
    raise type(error)(f"From inside a container: {error.message}", error.hint)


def _is_of_this_machine(server: Server) -> bool:
    return urlsplit(server.uri).hostname == CONTAINER_HOST


def _hints_of_this_machine(client: docker.DockerClient, server: Server) -> Mapping[Cause, str]:
    if "rootless" in daemon.kinds(client):
        return dict.fromkeys(_HINTS, _ROOTLESS)
    if not (bridge := daemon.bridge(client)):
        return _HINTS
    # Not all addresses: it would be open to the whole network. MLflow accepts requests for a private one.
    parts = urlsplit(server.uri)
    uri = f"{parts.scheme}://{bridge.gateway}{f':{parts.port}' if parts.port else ''}{parts.path}"
    listen = (
        f"Let it listen on the engine's bridge (--host {bridge.gateway}), set the tracking URI to {uri}, "
        "and let the firewall pass containers."
    )
    return {**_HINTS, "time": listen, "refused": listen, "unreachable": listen}


def _files(server: Server, user: RunUser, environment: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """The script and what it asks, for /tmp, as a tar: readable by the container's user alone."""
    variables, authorities = server.outbound.without(*environment).moved("/tmp")  # noqa: S108 (its own)
    request = {
        "url": server.uri + PROBE,
        "username": server.username,
        "password": server.password,
        "token": server.token,
        "environment": variables,
    }
    files = {
        **authorities,
        "ask_server.py": _SCRIPT.read_bytes(),
        "server.json": json.dumps(request).encode(),
    }
    return one_off.private_tar(files, user.uid, user.gid)
