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
from trainer.errors import BadInput, TrainerError


def workplace(target: Path) -> Path:
    """Where the target is made."""
    return atomic_files.beside(target)


def check(target: Path, plan: Mapping[str, object]) -> None:
    """Raises `BadInput` where the target, or an unfinished other plan for it, is in the way."""
    if not _done(target, plan):
        _begun(target, plan)


def build(target: Path, plan: Mapping[str, object], fill: Callable[[Path], None]) -> None:
    """Have `fill` put files into a folder, which then appears as `target`.

    `plan` is JSON that tells it from every other content. `fill` must leave a file that is there alone, and
    give a file its name only when it is whole (see `atomic_files.beside`). Raises `BadInput` as `check` does,
    and where something cannot be written: the same call goes on from there.
    """
    try:
        _build(target, plan, fill)
    except OSError as problem:
        raise BadInput(
            f"{target} could not be made: {problem.strerror or problem}.",
            "Fix the cause, then run the same command again: it continues from here.",
        ) from None


def _build(target: Path, plan: Mapping[str, object], fill: Callable[[Path], None]) -> None:
    place = workplace(target)
    if _done(target, plan):
        _clean(place)
        return
    lock = locks.acquire(place / "lock")
    if lock is None:
        raise BadInput(f"Another trainer process is creating {target}.", "Wait for it.")
    with lock:
        check(target, plan)  # again: it may have been finished before we had the lock
        if not _begun(target, plan):
            atomic_files.write(place / "plan.json", _text(plan).encode())
        (place / "files").mkdir(exist_ok=True)
        _fill(place, fill)
        # A power cut must not leave empty files under the final name.
        os.sync()
        try:
            atomic_files.rename(place / "files", target)
        except FileExistsError:
            raise _in_the_way(target) from None
        atomic_files.sync_folder(target.parent)
        _clean(place)


def _fill(place: Path, fill: Callable[[Path], None]) -> None:
    try:
        fill(place / "files")
    except TrainerError:
        # What failed at its very first file leaves nothing to resume from.
        if not any(path.is_file() for path in (place / "files").rglob("*")):
            _clean(place)
        raise


def _done(target: Path, plan: Mapping[str, object]) -> bool:
    """Whether the target is there, made by this plan by somebody who was killed before the last cleaning."""
    if not os.path.lexists(target):
        _check_neighbours(target)
        return False
    place = workplace(target)
    if (place / "files").exists() or _read(place) != _text(plan):
        raise _in_the_way(target)
    return True


def _begun(target: Path, plan: Mapping[str, object]) -> bool:
    """Whether this plan was begun; raises `BadInput` if it was another one."""
    place = workplace(target)
    begun = _read(place)
    if begun is None and not (place / "files").exists():
        return False
    if begun != _text(plan):
        raise BadInput(
            f"{place} was left by another command for {target.name} that was interrupted.",
            f"Run that command again to finish it, or delete what it made: rm -r {shlex.quote(str(place))}",
        )
    return True


def _check_neighbours(target: Path) -> None:
    if target.parent.is_dir():
        for neighbour in target.parent.iterdir():
            if folded(neighbour.name) == folded(target.name):
                raise _in_the_way(neighbour)


def _in_the_way(target: Path) -> BadInput:
    return BadInput(f"{target} exists already.", "Choose another name; nothing is overwritten.")


def _read(place: Path) -> str | None:
    try:
        return (place / "plan.json").read_text()
    except FileNotFoundError:
        return None


def _text(plan: Mapping[str, object]) -> str:
    return json.dumps(plan, indent=1, sort_keys=True) + "\n"


def _clean(place: Path) -> None:
    """The plan goes last: as long as it is there, the same command knows that it has this to do."""
    shutil.rmtree(place / "files", ignore_errors=True)
    (place / "lock").unlink(missing_ok=True)
    (place / "plan.json").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something that is not ours lies there
        place.rmdir()
