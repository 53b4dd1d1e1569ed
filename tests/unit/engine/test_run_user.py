"""The user of runs, by what an engine says of itself. That it works is seen in tests/engines/."""

import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from trainer.engine import daemon, run_user
from trainer.engine.run_user import RunUser
from trainer.errors import EngineError

from unit.helpers import fails, put

if TYPE_CHECKING:
    import docker

YOURS = (os.getuid(), os.getgid())


class Said:
    """An engine that answers one question."""

    def __init__(self, *options: str) -> None:
        self.options = options

    def info(self) -> dict[str, object]:
        return {"SecurityOptions": list(self.options)}


def user(*options: str) -> RunUser:
    return run_user.of(cast("docker.DockerClient", Said(*options)))


@pytest.fixture(autouse=True)
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{put(tmp_path / 'docker.sock')}")


def test_usually_it_is_you() -> None:
    assert user("name=seccomp,profile=builtin", "name=cgroupns") == RunUser(*YOURS)


def test_a_rootless_engines_user_0_is_whom_it_belongs_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert user("name=rootless") == RunUser(0, 0)
    name = pwd.getpwuid(YOURS[0]).pw_name
    monkeypatch.setattr(os, "getuid", lambda: YOURS[0] + 1)
    with fails(
        EngineError,
        f"The engine at {daemon.endpoint()} is rootless and belongs to {name}: it cannot mount your files.",
        f"Run trainer as {name}, or name an engine of yours in DOCKER_HOST.",
    ):
        user("name=rootless")


def test_remapped_ids_are_a_strangers() -> None:
    assert user("name=userns") == RunUser(1000, 1000, "the engine remaps user ids (userns-remap)")


def test_on_another_machine_everybody_is_a_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://far:2376")
    assert user() == RunUser(*YOURS, "the engine is on another machine")
    assert user("name=rootless") == RunUser(0, 0, "the engine is on another machine")


def test_the_engine_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = cast("docker.DockerClient", Said())
    run_user.of(said)
    monkeypatch.setattr(said, "info", None)
    assert run_user.of(said) == RunUser(*YOURS)
    assert daemon.kinds(said) == frozenset()


def test_what_others_cannot_read_is_found_and_can_be_opened(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    file = put(folder / "one.csv")
    folder.chmod(0o755)
    file.chmod(0o640)
    assert run_user.closed_to_others(folder) == file
    folder.chmod(0o750)
    assert run_user.closed_to_others(folder) == folder
    run_user.open_to_others(folder)
    assert run_user.closed_to_others(folder) is None
    assert run_user.closed_to_others(folder, writes=True) == folder


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"Components": [{"Name": "Engine", "Version": "26.1.5"}]}, "Docker 26.1.5"),
        ({"Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}, "Podman 4.3.1"),
        ({"Version": "19.3"}, "Docker 19.3"),
    ],
)
def test_an_engine_is_called_by_its_name(said: dict[str, object], name: str) -> None:
    client = cast("docker.DockerClient", SimpleNamespace(version=lambda: said))
    assert daemon.product(client) == name
