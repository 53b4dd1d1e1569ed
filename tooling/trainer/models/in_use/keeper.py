"""The process that looks after a served model whose alias may move. It ends with what it looks after."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import locks
from trainer.errors import EngineError, InvalidInput, TrainerError
from trainer.models.in_use import following
from trainer.serving import container as containers
from trainer.serving import service
from trainer.serving.container import Serving
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

ASKED_S = 5
"""From one question to the next."""
_LEAST_S = 1
_RELIEVED_S = 15
"""How long one waits for another's end, whose model was stopped a moment ago."""
_WITHOUT_ENGINE_S = 600


def begin(workspace: Workspace, name: str, *, is_heard: bool = False) -> subprocess.Popen[str]:
    """Start the process; it outlives this one, and the terminal. With `is_heard` its stdout is a pipe."""
    environment = {**os.environ}
    if workspace.server_asked_for:  # it may have a password, which is not for the arguments of a process
        environment["MLFLOW_TRACKING_URI"] = workspace.server_asked_for
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", "--workspace", str(workspace.root), "serve", "follow", name],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if is_heard else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True, env=environment, text=True,
    )  # fmt: skip


def begin_heard(workspace: Workspace, name: str, tell: Callable[[str], object]) -> None:
    """The same, for a command that waits meanwhile: `tell` is told of trouble, in another thread."""
    process = begin(workspace, name, is_heard=True)

    def hear() -> None:
        for line in process.stdout or ():
            tell(line.rstrip())

    threading.Thread(target=hear, daemon=True).start()


def revive(workspace: Workspace, servings: list[Serving]) -> list[str]:
    """Start it again for the models that have lost theirs; their names."""
    lost = [
        serving.name
        for serving in servings
        if _is_kept(workspace, serving) and not locks.held(_lock(workspace, serving.name))
    ]
    for name in lost:
        begin(workspace, name)
    return lost


def trouble(workspace: Workspace, serving: Serving) -> str:
    """Why nobody knows whether its alias has moved, or nothing."""
    if not _is_kept(workspace, serving):
        return ""
    with contextlib.suppress(OSError):
        return _trouble(workspace, serving.name).read_text(encoding="utf-8")
    return ""


def keep(workspace: Workspace, name: str, tell: Callable[[str], object]) -> None:
    """Have the model served under this name follow its alias until it is stopped; `tell` is told of trouble.

    Returns at once where another process does that. Raises `InvalidInput` where no such model is served.
    """
    lock = _relieved(workspace, name)
    if lock is None:
        return
    with lock:
        engine = service.connect()
        found = [each for each in containers.found(engine, workspace) if each.name == name]
        if not found or not _is_kept(workspace, found[0]):
            raise InvalidInput(
                f"No model that follows an alias is served as {name}.", "See: trainer serve list"
            )
        try:
            _keep(workspace, engine, found[0], tell)
        finally:
            _trouble(workspace, name).unlink(missing_ok=True)


def _keep(
    workspace: Workspace, engine: docker.DockerClient, serving: Serving, tell: Callable[[str], object]
) -> None:
    told, seen = "", time.monotonic()
    while time.monotonic() - seen < _WITHOUT_ENGINE_S:
        try:
            if not _is_there(workspace, engine, serving):
                return
            seen = time.monotonic()
            trouble = _heed(workspace, engine, serving)
        except EngineError:  # it may be starting again, and the model with it, or the model was just stopped
            trouble = told
        if trouble != told:
            _write(_trouble(workspace, serving.name), trouble)
            goes_on = f"{trouble} {serving.name} is served on, and followed as soon as that is possible."
            tell(goes_on if trouble else f"{serving.follows or serving.shadow} is followed again.")
            told = trouble
        time.sleep(_LEAST_S)
        containers.wait(engine, serving, ASKED_S - _LEAST_S)


def _heed(workspace: Workspace, engine: docker.DockerClient, serving: Serving) -> str:
    try:
        following.heed(workspace, engine, serving)
    except EngineError:
        raise
    except TrainerError as error:
        return error.message
    except Exception as error:  # noqa: BLE001 (whatever a server answers, it is asked again)
        return f"The version could not be found out: {type(error).__name__}: {error}"
    return ""


def _is_there(workspace: Workspace, engine: docker.DockerClient, serving: Serving) -> bool:
    present = [each for each in containers.found(engine, workspace) if each.id == serving.id]
    return bool(present) and _is_kept(workspace, present[0])


def _is_kept(workspace: Workspace, serving: Serving) -> bool:
    follows = bool(serving.follows or serving.shadow)
    return follows and serving.goes_on and not service.is_abandoned(workspace, serving)


def _relieved(workspace: Workspace, name: str) -> locks.Lock | None:
    deadline = time.monotonic() + _RELIEVED_S
    while not (lock := locks.acquire(_lock(workspace, name))):
        if time.monotonic() > deadline:
            return None
        time.sleep(_LEAST_S)
    return lock


def _write(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _lock(workspace: Workspace, name: str) -> Path:
    return workspace.state / "serving" / "keepers" / name


def _trouble(workspace: Workspace, name: str) -> Path:
    return workspace.state / "serving" / "trouble" / name
