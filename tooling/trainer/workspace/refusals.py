"""What the tracking server refused of runs for good: kept in .trainer/refused, each record and the reason."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainkit.spool.names import OFFLINE_TAG
from trainkit.spool.refusals import REFUSED_TAG
from trainkit.spool.responses import plain

from trainer.counted import counted
from trainer.errors import TrackingError
from trainer.workspace import run_folder
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.settings import Workspace

FOLDER = "refused"
_SHOWN = 3  # reasons
_LONGEST = 1 << 26  # bytes of a line


class Refused(TrackingError):
    """The server took the rest of a run, and will never take this."""


@dataclass(frozen=True)
class RefusedRecords:
    """What of one run was refused: the number of its records, and the first reasons."""

    run_id: str
    folder: Path
    records: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        """`The tracking server refused 1 record of the run 0f3c… for good: notes/a.txt (12.3 MB): …`."""
        reasons = "; ".join(reason.rstrip(".") for reason in self.reasons)
        number = counted(self.records, "record")
        return f"The tracking server refused {number} of the run {self.run_id[:8]} for good: {reasons}."

    @property
    def error(self) -> Refused:
        """The same as a failure."""
        return Refused(
            str(self),
            f"The rest is delivered. This is kept in {self.folder}; to send it again: "
            f"trainer sync {self.run_id[:8]} --refused",
        )


def all_refused(workspace: Workspace) -> Iterator[RefusedRecords]:
    """Of every run of which something was refused, delivered or not, as long as its folder is there."""
    for parent in (run_folder.parent(workspace), workspace.state / FOLDER):
        for path in sorted(parent.glob("*/")):
            if refused := _read(RunFolder(path)):
                yield refused


def of_run(workspace: Workspace, *ids: str) -> RefusedRecords | None:
    """What was refused of the run that has, or had, one of these ids."""
    return next((refused for refused in all_refused(workspace) if refused.run_id in ids), None)


def describer(workspace: Workspace) -> Callable[[str, Mapping[str, str]], str | None]:
    """A function that says what was refused of a run with this id and these tags, None if nothing was.

    It knows what is kept in this workspace; of other runs, the reason that they are tagged with.
    """
    by_run = {refused_records.run_id: refused_records for refused_records in all_refused(workspace)}

    def told(run_id: str, tags: Mapping[str, str]) -> str | None:
        refused = by_run.get(run_id) or by_run.get(tags.get(OFFLINE_TAG, ""))
        return f"{refused} It is in {refused.folder}" if refused else tags.get(REFUSED_TAG)

    return told


def keep(workspace: Workspace, folder: RunFolder) -> None:
    """Move the folder of a run, of which everything else is delivered, to where its owner finds it."""
    if not folder.refused.exists():
        return
    parent = workspace.state / FOLDER
    parent.mkdir(exist_ok=True)
    name, number = folder.path.name, 1
    while (target := parent / (name if number == 1 else f"{name}.{number}")).exists():
        number += 1  # the run was resumed
    folder.path.rename(target)


def _read(folder: RunFolder) -> RefusedRecords | None:
    records, reasons = 0, dict[str, None]()
    try:
        # It may be a live run's, which can put there what it likes.
        descriptor = os.open(folder.refused, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as lines:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            while line := lines.readline(_LONGEST):
                records += line.endswith(b"\n")
                if len(reasons) < _SHOWN:
                    reasons[_reason(line)] = None
    except OSError:
        return None
    run_id = folder.path.name.partition(".")[0]
    return RefusedRecords(run_id, folder.path, records, tuple(reasons)) if records else None


def _reason(line: bytes) -> str:
    try:
        return plain(str(json.loads(line)["answer"])) or "without a reason"
    except (ValueError, LookupError, TypeError, RecursionError):
        return "it cannot be read"
