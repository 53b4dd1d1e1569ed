"""Making a new dataset: under a hidden name beside its place, and renamed into it when all is there.

While it is made, `.NAME.unfinished/` holds `plan.json` (what is being made), `lock` (held by who makes it)
and `files/`, which becomes NAME. Whoever starts the very same plan again goes on where the last one stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from trainer import atomic_files, locks
from trainer.datasets.names import folded
from trainer.errors import InvalidInput, TrainerError


def workplace(target: Path) -> Path:
    """Where the target is made."""
    return atomic_files.beside(target)


def check(target: Path, plan: Mapping[str, object]) -> None:
    """Raises `InvalidInput` where the target, or an unfinished other plan for it, is in the way."""
    if not _done(target, plan):
        _begun(target, plan)


def check_new(target: Path) -> None:
    """Raises `InvalidInput` where the target is in the way of any plan but one that was interrupted there."""
    if _read(workplace(target)) is None:
        if os.path.lexists(target):
            raise _in_the_way(target)
        _check_neighbours(target)


def new_file(target: Path, content: bytes) -> None:
    """Write a file that is not there, or none. Raises `InvalidInput`."""
    check_new(target)
    unfinished = atomic_files.beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.write(unfinished, content)
        atomic_files.rename(unfinished, target)
    except FileExistsError:
        unfinished.unlink()
        raise _in_the_way(target) from None
    except OSError as error:
        raise InvalidInput(
            f"{target} could not be made: {error.strerror or error}.", "Fix the cause, then run it again."
        ) from None


def build(target: Path, plan: Mapping[str, object], fill: Callable[[Path], None]) -> None:
    """Have `fill` put files into a folder, which then appears as `target`.

    `plan` is JSON that tells it from every other content. `fill` must leave a file that is there alone, and
    give a file its name only when it is whole (see `atomic_files.beside`). Raises `InvalidInput` as `check`
    does, and where something cannot be written: the same call goes on from there.
    """
    try:
        _build(target, plan, fill)
    except OSError as error:
        raise InvalidInput(
            f"{target} could not be made: {error.strerror or error}.",
            "Fix the cause, then run the same command again: it continues from here.",
        ) from None


def _build(target: Path, plan: Mapping[str, object], fill: Callable[[Path], None]) -> None:
    folder = workplace(target)
    if _done(target, plan):
        _clean(folder)
        return
    lock = locks.acquire(folder / "lock")
    if lock is None:
        raise InvalidInput(f"Another trainer process is creating {target}.", "Wait for it.")
    with lock:
        check(target, plan)  # again: it may have been finished before we had the lock
        if not _begun(target, plan):
            atomic_files.write(folder / "plan.json", _text(plan).encode())
        (folder / "files").mkdir(exist_ok=True)
        _fill(folder, fill)
        # A power cut must not leave empty files under the final name.
        os.sync()
        try:
            atomic_files.rename(folder / "files", target)
        except FileExistsError:
            raise _in_the_way(target) from None
        atomic_files.sync_folder(target.parent)
        _clean(folder)


def _fill(folder: Path, fill: Callable[[Path], None]) -> None:
    try:
        fill(folder / "files")
    except TrainerError:
        # What failed at its very first file leaves nothing to resume from.
        if not any(path.is_file() for path in (folder / "files").rglob("*")):
            _clean(folder)
        raise


def _done(target: Path, plan: Mapping[str, object]) -> bool:
    """Whether the target is there, made by this plan in a process that was killed before the last cleanup."""
    if not os.path.lexists(target):
        _check_neighbours(target)
        return False
    folder = workplace(target)
    if (folder / "files").exists() or _read(folder) != _text(plan):
        raise _in_the_way(target)
    return True


def _begun(target: Path, plan: Mapping[str, object]) -> bool:
    """Whether this plan was begun; raises `InvalidInput` if it was another one."""
    folder = workplace(target)
    begun = _read(folder)
    if begun is None and not (folder / "files").exists():
        return False
    if begun != _text(plan):
        raise InvalidInput(
            f"{folder} was left by another command for {target.name} that was interrupted.",
            f"Run that command again to finish it, or delete what it made: rm -r {shlex.quote(str(folder))}",
        )
    return True


def _check_neighbours(target: Path) -> None:
    if target.parent.is_dir():
        for neighbour in target.parent.iterdir():
            if folded(neighbour.name) == folded(target.name):
                raise _in_the_way(neighbour)


def _in_the_way(target: Path) -> InvalidInput:
    return InvalidInput(f"{target} exists already.", "Choose another name; nothing is overwritten.")


def _read(folder: Path) -> str | None:
    try:
        return (folder / "plan.json").read_text()
    except (FileNotFoundError, NotADirectoryError):  # a single file that was being made
        return None


def _text(plan: Mapping[str, object]) -> str:
    return json.dumps(plan, indent=1, sort_keys=True) + "\n"


def _clean(folder: Path) -> None:
    """The plan goes last: as long as it is there, the same command knows that it has this to do."""
    shutil.rmtree(folder / "files", ignore_errors=True)
    (folder / "lock").unlink(missing_ok=True)
    (folder / "plan.json").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something that is not ours lies there
        folder.rmdir()
