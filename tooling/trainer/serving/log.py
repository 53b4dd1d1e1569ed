"""What a container has to do with the log of its predictions: a folder of the host, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.engine import run_user
from trainer.engine.run_user import RunUser
from trainer.serving import volume

if TYPE_CHECKING:
    import docker

_FOLDER = "/log"


@dataclass(frozen=True)
class Log:
    """Where predictions are logged: a folder of this machine. `limit` is in bytes."""

    folder: Path
    limit: int
    keeps_inputs: bool


def user(client: docker.DockerClient, log: Log | None) -> RunUser:
    """Nobody; with a log, whoever is you in a container, so that the log is yours."""
    if log is None:
        return RunUser(volume.NOBODY, volume.NOBODY)
    user = run_user.of(client)
    # An engine that remaps ids has nobody who is you: this container does without that.
    return RunUser(*run_user.host_ids(), user.stranger) if user.stranger else user


def options(log: Log | None) -> list[str]:
    """Those of the server."""
    if log is None:
        return []
    return ["--log", _FOLDER, "--log-limit", str(log.limit), *(["--keep-inputs"] if log.keeps_inputs else [])]


def mount(log: Log | None) -> dict[str, dict[str, str]]:
    """As the engine's API takes it."""
    return {} if log is None else {str(log.folder): {"bind": _FOLDER, "mode": "rw"}}
