"""Doing and undoing renames so that being killed at any moment loses nothing.

The journal is the hidden file `.trainer-renames.json` in the dataset itself. That folder can be written, or
nothing in it could be renamed; it is on the same disk; and the journal goes along when the dataset moves. It
says which renames are being done, in which direction and phase. Which of a phase's steps are done is seen
from the tree: no name is in two of them (see `plan.steps`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, TypedDict

from trainer import atomic_files
from trainer.counted import counted
from trainer.datasets import inside
from trainer.datasets.rename.plan import Rename, Steps
from trainer.errors import InvalidInput
from trainer.subprocesses import deferred_signals, interruptible

NAME = ".trainer-renames.json"
Phase = Literal["away", "home"]


class _Entry(TypedDict):
    away: list[tuple[str, str]]
    home: list[tuple[str, str]]


class _File(TypedDict):
    going: _Entry | None
    back: bool
    phase: Phase
    done: list[_Entry]


@dataclass(frozen=True)
class Journal:
    """`going` is being done (`back`: undone) and has come to `phase`; `done` can be undone, last first."""

    going: Steps | None = None
    back: bool = False
    phase: Phase = "away"
    done: tuple[Steps, ...] = ()

    @property
    def unfinished(self) -> str:
        """What was interrupted, in words."""
        return f"{'undoing' if self.back else 'renaming'} of {counted(len(self.left()), 'folder')}"

    def last(self) -> tuple[Rename, ...]:
        """The last renames that were done and not undone."""
        return _seen(self.done[-1], back=False) if self.done else ()

    def left(self) -> tuple[Rename, ...]:
        """The renames that are being done, as their user sees them: without temporary names."""
        return _seen(self.going, back=self.back) if self.going else ()


def read(root: Path) -> Journal:
    """The journal of the dataset; an empty one where there is none.

    Raises `InvalidInput` if it is damaged.
    """
    try:
        payload: _File = json.loads((root / NAME).read_text())
        going = _steps(payload["going"]) if payload["going"] else None
        if payload["phase"] not in ("away", "home"):
            raise ValueError(payload["phase"])
        return Journal(
            going, payload["back"], payload["phase"], tuple(_steps(entry) for entry in payload["done"])
        )
    except FileNotFoundError:
        return Journal()
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(
            f"{root / NAME} is damaged.", "Look whether the names are right, then remove that file."
        ) from None


def apply(root: Path, steps: Steps) -> None:
    """Do the steps.

    Raises `InvalidInput` if somebody made one of the new names meanwhile: none is replaced.
    """
    journal = read(root)
    _go(root, replace(journal, going=steps, back=False, phase="away"))


def undo(root: Path, *, dry_run: bool = False) -> tuple[Rename, ...]:
    """Take the last renames back, and say which. Raises `InvalidInput` where that cannot be."""
    journal = read(root)
    if not journal.done:
        raise InvalidInput(
            f"No renaming of {root} is known that could be undone.", "trainer data rename-classes --help"
        )
    *earlier, last = journal.done
    renames = _seen(last, back=True)
    new_names = {rename.old for rename in renames}
    for rename in renames:
        if not os.path.lexists(root / rename.old):
            raise InvalidInput(
                f"{root / rename.old} is gone; the renaming cannot be undone.", "Rename by hand."
            )
        if rename.new not in new_names and os.path.lexists(root / rename.new):
            raise InvalidInput(
                f"{root / rename.new} is in the way of undoing.", "Move it away; nothing was renamed."
            )
    if not dry_run:
        _go(root, Journal(last, back=True, phase="home", done=tuple(earlier)))
    return renames


def resume(root: Path) -> str | None:
    """Finish what an interrupted call had begun, and say what that was; None if there was nothing."""
    journal = read(root)
    if journal.going is None:
        return None
    _go(root, journal)
    return journal.unfinished


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Within: no other trainer renames in this dataset; raises `InvalidInput` where one does."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InvalidInput(f"Another trainer process is renaming in {root}.", "Wait for it.") from None
    except OSError:
        pass  # some network file systems cannot lock a folder
    try:
        yield
    finally:
        os.close(descriptor)


def _go(root: Path, journal: Journal) -> None:
    """From the journal's phase to the end. It takes milliseconds, so a Ctrl-C waits until it is done."""
    going = journal.going
    if going is None:
        return
    with interruptible(), deferred_signals():
        for phase in _phases(journal):
            _write(root, replace(journal, phase=phase))
            steps = going.away if phase == "away" else going.home
            for step in reversed(steps) if journal.back else steps:
                _do(root, step, back=journal.back)
            for folder in {root / step.old.parent for step in steps}:
                atomic_files.sync_folder(folder)
        done = journal.done if journal.back else (*journal.done, going)
        _write(root, Journal(done=done))


def _phases(journal: Journal) -> list[Phase]:
    order: list[Phase] = ["home", "away"] if journal.back else ["away", "home"]
    return order[order.index(journal.phase) :]


def _do(root: Path, step: Rename, *, back: bool) -> None:
    source, target = (step.new, step.old) if back else (step.old, step.new)
    for path in (source, target):
        inside.check(root, (root / path).parent)
    source_exists, target_exists = os.path.lexists(root / source), os.path.lexists(root / target)
    if target_exists and not source_exists:
        return  # done before the interruption
    try:
        atomic_files.rename(root / source, root / target)
    except FileExistsError:
        message = f"{root / target} was created meanwhile; {source} was not renamed."
    except FileNotFoundError:
        message = f"{root / source} was removed meanwhile."
    except OSError as reason:
        message = f"{root / source} cannot be renamed: {reason.strerror}."
    else:
        return
    raise InvalidInput(message, "Fix the cause, then run the command again: it continues from here.")


def _write(root: Path, journal: Journal) -> None:
    if journal == Journal():
        (root / NAME).unlink(missing_ok=True)
        atomic_files.sync_folder(root)
        return
    payload: _File = {
        "going": _entry(journal.going) if journal.going else None,
        "back": journal.back,
        "phase": journal.phase,
        "done": [_entry(steps) for steps in journal.done],
    }
    try:
        atomic_files.write(root / NAME, json.dumps(payload, indent=1).encode())
    except OSError as reason:
        raise InvalidInput(
            f"{root / NAME} cannot be written: {reason.strerror}.",
            "Fix the cause, then run the command again. No image is lost.",
        ) from None


def _seen(steps: Steps, *, back: bool) -> tuple[Rename, ...]:
    origin = {step.new: step.old for step in steps.away}
    renames = [Rename(origin.get(step.old, step.old), step.new) for step in steps.home]
    return tuple(Rename(r.new, r.old) if back else r for r in renames)


def _entry(steps: Steps) -> _Entry:
    away, home = ([(str(s.old), str(s.new)) for s in some] for some in (steps.away, steps.home))
    return {"away": away, "home": home}


def _steps(entry: _Entry) -> Steps:
    away, home = (
        tuple(Rename(_inside(old), _inside(new)) for old, new in pairs)
        for pairs in (entry["away"], entry["home"])
    )
    return Steps(away, home)


def _inside(path: str) -> PurePosixPath:
    """The journal may have come with a downloaded dataset: it must reach nothing outside of it."""
    parsed = PurePosixPath(path)
    if parsed.is_absolute() or ".." in parsed.parts or not parsed.parts:
        raise ValueError(path)
    return parsed
