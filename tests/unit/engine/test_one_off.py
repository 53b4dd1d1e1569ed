"""A command in a container: what the engine is asked for, and that nothing is left when it is interrupted."""

from __future__ import annotations

import io
import os
import signal
import tarfile
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest
from docker.errors import NotFound
from trainer.engine import one_off, run_user
from trainer.engine.run_user import RunUser
from trainer.errors import EngineError, Interrupted
from trainer.subprocesses import interruptible

if TYPE_CHECKING:
    import docker


def nothing() -> None:
    pass


class Engine:
    """As much of docker-py as is used, with one container."""

    def __init__(
        self,
        file: bytes | None = None,
        *,
        creating: Callable[[], None] = nothing,
        waiting: Callable[[], None] = nothing,
    ) -> None:
        self.file, self.creating, self.waiting = file, creating, waiting
        self.asked: dict[str, object] = {}
        self.is_there = self.contains_run = False
        self.containers = self

    def create(self, image: str, command: list[str], **options: object) -> Engine:
        self.asked = {"image": image, "command": command, **options}
        self.is_there = True
        self.creating()
        return self

    def start(self) -> None:
        self.contains_run = True

    def wait(self) -> dict[str, int]:
        self.waiting()
        return {"StatusCode": 3}

    def logs(self, *, stdout: bool, stderr: bool) -> bytes:
        assert stdout != stderr
        return b"out \xff\n" if stdout else b"err\n"

    def get_archive(self, path: str) -> tuple[list[bytes], dict[str, str]]:
        if self.file is None:
            raise NotFound(path)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            entry = tarfile.TarInfo(path.rsplit("/", 1)[-1])
            entry.size = len(self.file)
            tar.addfile(entry, io.BytesIO(self.file))
        whole = packed.getvalue()
        return [whole[:100], whole[100:]], {}

    def remove(self, *, force: bool, v: bool) -> None:
        assert force
        assert v
        self.is_there = False


def run(engine: Engine, fetch: str | None = None) -> one_off.Output:
    return one_off.run(cast("docker.DockerClient", engine), "trainer/small:1", ["a", "b c"], fetch=fetch)


@pytest.fixture(autouse=True)
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_user, "of", lambda _: RunUser(1234, 5678))


def test_the_command_has_no_network_no_capabilities_and_no_other_user() -> None:
    engine = Engine()
    run(engine)
    keys = ("image", "command", "entrypoint", "network_mode", "user", "cap_drop", "security_opt",
            "device_requests")  # fmt: skip
    asked = {key: engine.asked[key] for key in keys}
    assert asked == {
        "image": "trainer/small:1",
        "command": ["a", "b c"],
        "entrypoint": [""],
        "network_mode": "none",
        "user": "1234:5678",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "device_requests": [],
    }
    assert not engine.asked["mounts"]
    assert "volumes" not in engine.asked


def test_how_the_command_ended_and_what_it_wrote() -> None:
    engine = Engine(b"x" * 20_000)
    assert run(engine, "/tmp/a.png") == one_off.Output(
        3, "out \N{REPLACEMENT CHARACTER}\n", "err\n", b"x" * 20_000
    )
    assert run(Engine()).file is None
    assert run(Engine(), "/tmp/was-not-written").file is None
    assert not engine.is_there


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("moment", ["creating", "waiting"])
def test_a_signal_leaves_no_container(moment: str) -> None:
    engine = Engine(creating=interrupt) if moment == "creating" else Engine(waiting=interrupt)
    with interruptible(), pytest.raises(Interrupted):
        run(engine)
    assert not engine.is_there
    assert engine.contains_run == (moment == "waiting")


def test_an_engine_that_goes_away_is_an_error() -> None:
    def gone() -> None:
        raise OSError("connection reset")

    engine = Engine(waiting=gone)
    with pytest.raises(EngineError, match="stopped answering"):
        run(engine)
    assert not engine.is_there
