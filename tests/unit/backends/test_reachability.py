"""Asking from a container, without one: its script's answer in our words, and a success is remembered."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from trainer import archives
from trainer.backends.docker import reachability
from trainer.engine import daemon, one_off, run_user
from trainer.engine.bridge import Bridge
from trainer.engine.one_off import Output
from trainer.engine.run_user import RunUser
from trainer.errors import ImageError, TrackingDenied, TrackingError
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server
from trainer.tracking.failures import Unavailable, Unreachable
from trainer.tracking.server_version import TooOld
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Reply, fails

if TYPE_CHECKING:
    import docker

CANARY = "canary-7f3a"
SERVER = Server("http://host.docker.internal:5000", "me", CANARY)
USER = RunUser(os.getuid(), os.getgid())


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What the engine says of itself."""
    payload = {"seccomp"}
    monkeypatch.setattr(run_user, "of", lambda _: USER)
    monkeypatch.setattr(daemon, "kinds", lambda _: payload)
    monkeypatch.setattr(daemon, "bridge", lambda _: Bridge("172.17.0.1", "172.17.0.0/16"))
    return payload


class RequestedPermissions:
    """Stands for `one_off.run`; `said` is what the container says."""

    def __init__(self, *said: Output) -> None:
        self.said = list(said)
        self.calls: list[tuple[object, ...]] = []
        self.files = b""

    def __call__(self, *call: object, files: bytes, **options: object) -> Output:
        self.files = files
        self.calls.append((*call, options))
        return self.said.pop(0)


def ask(said: RequestedPermissions, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(one_off, "run", said)
    client = cast("docker.DockerClient", None)
    return reachability.from_container(client, "sha256:1", SERVER, network={}, environment={})


def answer(**said: object) -> Output:
    return Output(0, json.dumps(said), "")


@pytest.mark.parametrize(
    ("output", "kind", "message"),
    [
        (
            answer(kinds=["ConnectionError"], text="[Errno 111] Connection refused"),
            Unreachable,
            "The tracking server http://host.docker.internal:5000 refuses connections.",
        ),
        (
            answer(kinds=["ConnectionError"], text="NameResolutionError"),
            Unreachable,
            "The tracking server's host name host.docker.internal is not known.",
        ),
        (
            answer(kinds=["SSLError"], text="certificate verify failed: certificate has expired (_ssl.c:1)"),
            Unreachable,
            "The certificate of the tracking server http://host.docker.internal:5000 is not accepted: "
            "certificate has expired.",
        ),
        (
            Output(142, "", ""),
            Unreachable,
            "The tracking server http://host.docker.internal:5000 gave no answer in 8 s.",
        ),
        (
            answer(status_code=401, reason="UNAUTHORIZED", text="no"),
            TrackingDenied,
            "The tracking server http://host.docker.internal:5000 refuses the user me (401).",
        ),
        (
            answer(status_code=502, reason="Bad Gateway", text=""),
            Unavailable,
            "The tracking server http://host.docker.internal:5000 answered 502: Bad Gateway",
        ),
    ],
)
def test_each_cause_is_named(
    monkeypatch: pytest.MonkeyPatch, output: Output, kind: type[TrackingError], message: str
) -> None:
    with fails(kind, f"From inside a container: {message}"):
        ask(RequestedPermissions(output), monkeypatch)


def test_the_password_is_in_a_file_that_the_containers_user_alone_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = RequestedPermissions(answer(status_code=200, reason="OK", text="3.17.2"))
    assert ask(said, monkeypatch)
    assert CANARY not in repr(said.calls)
    with tarfile.open(fileobj=io.BytesIO(said.files)) as tar:
        assert {(entry.mode, entry.uid) for entry in tar} == {(0o600, os.getuid())}


def test_an_image_without_a_client_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ask(RequestedPermissions(Output(3, "", "")), monkeypatch)


def test_a_success_is_remembered_for_an_hour_and_a_failure_is_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = answer(status_code=200, reason="OK", text="3"), answer(status_code=500, reason="", text="")
    said = RequestedPermissions(bad, good, good, good)
    monkeypatch.setattr(one_off, "run", said)

    def check(image: str = "sha256:1") -> int:
        client = cast("docker.DockerClient", None)
        reachability.check(workspace, client, image, SERVER, network={}, environment={})
        return len(said.calls)

    with pytest.raises(TrackingError):
        check()
    assert [check(), check(), check("sha256:2")] == [2, 2, 3]
    (proof,) = (workspace.state / "reached").iterdir()
    old = time.time() - 3601
    os.utime(proof, (old, old))
    assert check("sha256:2") == 4


def script(server: Server, tmp_path: Path) -> dict[str, object]:
    with tarfile.open(fileobj=io.BytesIO(reachability._files(server, USER))) as tar:
        archives.unpack(tar, tmp_path)
    done = subprocess.run(
        [sys.executable, tmp_path / "ask_server.py", tmp_path / "server.json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    payload = json.loads(done.stdout)
    assert isinstance(payload, dict)
    return payload


def test_the_script_asks_as_the_client_would(http_server: HttpServer, tmp_path: Path) -> None:
    http_server.replies["/api/2.0/mlflow/experiments/search"] = [Reply(body="{}")]
    said = script(Server(http_server.uri, token=CANARY), tmp_path)
    assert said == {"status_code": 200, "reason": "OK", "text": "{}"}
    assert http_server.asked[0].headers["Authorization"] == f"Bearer {CANARY}"


def test_the_script_tells_why_there_was_no_answer(tmp_path: Path) -> None:
    said = script(Server("http://127.0.0.1:1", "me", CANARY), tmp_path)
    assert "ConnectionError" in cast(list[str], said["kinds"])
    assert "refused" in str(said["text"])
    assert CANARY not in str(said)


def test_an_image_without_bash_is_refused_where_the_command_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = RequestedPermissions(Output(4, "", ""))
    monkeypatch.setattr(one_off, "run", said)
    client = cast("docker.DockerClient", None)
    with fails(
        ImageError,
        "The image has no bash, which the run's command needs.",
        "Add it, or run in another image: --image NAME",
    ):
        reachability.from_container(client, "sha256:1", SERVER, network={}, environment={}, needs_bash=True)
    assert "command -v bash" in str(said.calls)


def test_an_image_in_which_no_run_could_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    with fails(
        ImageError,
        "The image has no sh, which trainer starts a run's command with.",
        "Add one (busybox is enough), or run in another image: --image NAME",
    ):
        ask(
            RequestedPermissions(
                Output(127, "", "[FATAL tini (7)] exec sh failed: No such file or directory")
            ),
            monkeypatch,
        )


def test_why_a_rootless_engine_does_not_reach_this_machine(
    kinds: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds.add("rootless")
    with fails(
        Unreachable,
        "From inside a container: The tracking server http://host.docker.internal:5000 refuses connections.",
        "A rootless engine's containers do not reach this machine. Have the server in one: trainer server up",
    ):
        ask(
            RequestedPermissions(answer(kinds=["ConnectionError"], text="[Errno 111] Connection refused")),
            monkeypatch,
        )


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (Reply(body="1.30.1"), "1.30.1"),
        (Reply(body="2.8.0"), "2.8.0"),
        (Reply(404, "Not Found"), "so old that it does not tell its version"),
    ],
)
def test_a_server_that_is_too_old_is_refused(http_server: HttpServer, reply: Reply, found: str) -> None:
    http_server.replies |= {"/version": [reply], "*": [Reply()]}
    with fails(TooOld, f"The tracking server {http_server.uri} needs MLflow 2.9 or newer; it is {found}."):
        reachability.from_host(Client(Server(http_server.uri)))


@pytest.mark.parametrize("version", ["2.9.2", "2.22.1", "3.17.2", "3.0.0rc1", "10.0.0", "on my machine"])
def test_others_are_not(http_server: HttpServer, version: str) -> None:
    http_server.replies |= {"/version": [Reply(body=version)], "*": [Reply()]}
    assert reachability.from_host(Client(Server(http_server.uri))) == version


def test_what_is_no_tracking_server_is_not_called_an_old_one(http_server: HttpServer) -> None:
    http_server.replies["*"] = [Reply(404, "Not Found")]
    with fails(TrackingError, f"The tracking server {http_server.uri} answered 404: Not Found"):
        reachability.from_host(Client(Server(http_server.uri)))
