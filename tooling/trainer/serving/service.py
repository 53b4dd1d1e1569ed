"""Serving a model: from a file to a server that answers, and to its end."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from trainer import locks, logs
from trainer.engine import daemon
from trainer.errors import EngineError, InvalidInput
from trainer.images import build
from trainer.predictions import places
from trainer.progress import Steps
from trainer.serving import container, image
from trainer.serving.container import PortTaken, Serving, Wanted
from trainer.subprocesses import deferred_signals
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

_LOG = logging.getLogger(__name__)
FIRST_PORT = 8080
_PORTS = 100
START_S = 120
LEAST_TOKEN = 16
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.IGNORECASE)


def name_of(model: str) -> str:
    """What a file, a run or NAME@VERSION is served as, unless another name is chosen."""
    is_file = model.lower().endswith(".onnx")
    name = Path(model).stem if is_file else model.partition("@")[0]
    name = re.sub(r"[^a-zA-Z0-9_.-]+", "-", name).strip("-_.")[:63]
    return name or "model"


def check_name(name: str) -> None:
    """Raises `InvalidInput` for a name that a URL or the engine cannot have."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"A model cannot be served as {name!r}.",
            "Use letters, digits, - _ and . in --name, the first a letter or digit.",
        )


def check_token(token: str, source: str) -> str:
    """The token without the end of its line; raises `InvalidInput`, without it, where it cannot be one."""
    token = token.strip()
    if len(token) < LEAST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise InvalidInput(
            f"The token in {source} is too short, or has characters that a header cannot have.",
            f"Use {LEAST_TOKEN} ASCII characters or more: openssl rand -hex 32",
        )
    return token


def free_port(host: str, port: int | None, first: int = FIRST_PORT) -> int:
    """The port, or the first free one from `first` on; raises `InvalidInput` where it is taken."""
    for candidate in [port] if port else range(first, FIRST_PORT + _PORTS):
        try:
            socket.create_server((host, candidate)).close()
        except PermissionError:  # the engine may listen where its user may not
            return candidate
        except OSError:
            continue
        return candidate
    if port:
        raise InvalidInput(f"The port {port} of {host} is taken.", "Choose another one, or leave --port out.")
    raise InvalidInput(
        f"The ports {FIRST_PORT} to {FIRST_PORT + _PORTS - 1} are taken.", "Choose another one: --port"
    )


def connect() -> docker.DockerClient:
    """The engine; raises `InvalidInput` where that is another machine's."""
    client = daemon.connect()
    if daemon.is_remote(address := daemon.endpoint()):
        raise InvalidInput(
            f"The engine at {address} is another machine: this one could not reach a model there.",
            "Use a local engine.",
        )
    return client


def refuse_served(client: docker.DockerClient, workspace: Workspace, name: str) -> None:
    """Raises `InvalidInput` where a model is served as that already. What has ended goes."""
    for serving in container.found(client, workspace):
        if serving.name == name:
            if serving.running and not is_abandoned(workspace, serving):
                raise InvalidInput(
                    f"A model is served as {name} already, at {serving.url}.",
                    f"Stop it (trainer serve stop {name}), or choose another --name.",
                )
            container.remove(client, serving.container)


@contextlib.contextmanager
def served(
    client: docker.DockerClient, workspace: Workspace, wanted: Wanted, steps: Steps
) -> Iterator[Serving]:
    """Within: the model answers. Afterwards it is stopped, if it is attached, or if this fails."""
    plan = image.plan(workspace)
    steps.step(f"Preparing the image {plan.tag}")
    build.ensure(workspace, client, plan, steps)
    lock = locks.acquire(_lock(workspace, wanted.name))
    if lock is None:
        raise InvalidInput(
            f"Another trainer is starting {wanted.name}.", "Wait for it, or choose another --name."
        )
    container_name, stays = container.called(workspace, wanted.name), False
    with lock:
        try:
            steps.step(f"Starting {wanted.name}")
            refuse_served(client, workspace, wanted.name)
            container.remove(client, container_name)  # a network or volume that was left
            if wanted.log:
                places.make(wanted.log.folder)
            _start(client, workspace, plan.tag, wanted)
            steps.step("Loading the model")
            serving = _ready(client, workspace, wanted.name)
            stays = not wanted.attached
            yield serving
        finally:
            if not stays:
                with deferred_signals(drop=True):
                    container.remove(client, container_name)


def _start(client: docker.DockerClient, workspace: Workspace, image: str, wanted: Wanted) -> None:
    """Make and start it. Where the first free port has just been taken, the next one is."""
    port = free_port(wanted.host, wanted.port)
    while True:
        container_name = container.create(client, workspace, image, wanted, port)
        try:
            container.start(client, container_name, port)
        except PortTaken:
            if wanted.port:
                raise
            container.remove(client, container_name)
            port = free_port(wanted.host, None, port + 1)
        else:
            return


def _ready(client: docker.DockerClient, workspace: Workspace, name: str) -> Serving:
    container_name, deadline = container.called(workspace, name), time.monotonic() + START_S
    [serving] = [each for each in container.found(client, workspace) if each.name == name]
    while time.monotonic() < deadline:
        if health(serving):
            return serving
        if container.status(client, container_name) not in ("running", "created"):
            raise _not_started(client, container_name)
        time.sleep(0.03)
    raise EngineError(f"The model {name} is not ready after {START_S} s.", "Use a smaller model.")


def _not_started(client: docker.DockerClient, container_name: str) -> InvalidInput | EngineError:
    """With what the server said of it: two lines, as trainer's own."""
    said = b"".join(container.output(client, container_name, 20)).decode(errors="replace").splitlines()
    errors = [line.removeprefix("Error: ") for line in said if line.startswith("Error: ")]
    hints = [line.removeprefix("Hint:").strip() for line in said if line.startswith("Hint:")]
    if errors:
        return InvalidInput(errors[-1], hints[-1] if hints else "Export the model again.")
    last = said[-1].strip() if said else "it was killed; the model may take more memory"
    return EngineError(f"The server of the model did not start: {last}", "Give it more memory: --memory")


def ended(client: docker.DockerClient, serving: Serving) -> EngineError:
    """What it means that the container has ended by itself."""
    if container.was_out_of_memory(client, serving.container):
        return EngineError(
            f"{serving.name} has ended: it took more memory than it may.", "Give it more: --memory"
        )
    return EngineError(f"{serving.name} has ended: it was stopped from outside.", "Serve it again.")


def is_being_made(workspace: Workspace, container_name: str) -> bool:
    """Whether a command is at work on it, or waits for its end."""
    name = container_name.removeprefix(container.called(workspace, ""))
    return locks.held(_lock(workspace, name))


class Health(TypedDict):
    """What a server says of itself. `reason` is why others do not answer that were to, a line each."""

    status: str
    model: str
    shadow: str
    reason: str


def health(serving: Serving) -> Health | None:
    """What it says now; None where it does not answer."""
    import requests

    with contextlib.suppress(requests.RequestException, ValueError), requests.Session() as session:
        logs.answers_to(session, _LOG)
        session.trust_env = False  # a proxy does not know this machine's loopback
        answer = session.get(f"{serving.url}/health", timeout=5)
        if answer.ok:
            said = answer.json()
            return Health(status=said["status"], model=said.get("model", ""),
                          shadow=said.get("shadow", ""), reason=said.get("reason", ""))  # fmt: skip
    return None


def chosen(servings: Sequence[Serving], names: Sequence[str]) -> list[Serving]:
    """Those of these names; raises `InvalidInput` for one that is not served."""
    by_name = {serving.name: serving for serving in servings}
    for name in names:
        if name not in by_name:
            known = ", ".join(by_name) or "none"
            raise InvalidInput(f"No model is served as {name}.", f"Those that are: {known}.")
    return [by_name[name] for name in dict.fromkeys(names)]


def is_abandoned(workspace: Workspace, serving: Serving) -> bool:
    """Whether the command that it was to end with was killed."""
    return serving.attached and not locks.held(_lock(workspace, serving.name))


def swap_lock(workspace: Workspace, name: str) -> Path:
    """Held by who has another model served under this name."""
    return workspace.state / "serving" / "swaps" / name


def _lock(workspace: Workspace, name: str) -> Path:
    return workspace.state / "serving" / f"{name}.lock"
