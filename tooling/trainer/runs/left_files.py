"""What a command left in its folder and did not log: named at the end, or kept as artifacts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainkit.spool.names import stored

from trainer.backends.base import Job
from trainer.counted import counted
from trainer.tracking import delivery, run_tags
from trainer.tracking.client import Run
from trainer.tracking.delivery import SpoolWriter
from trainer.tracking.spool_guard import SoundSpool
from trainer.workspace.run_folder import RunFolder

"""Of a run whose files are kept, so that whatever makes it again keeps them too."""
FOLDER = "files"
_LONGEST = 255  # bytes, of a file's name


@dataclass(frozen=True)
class UnloggedFiles:
    """Files, by their paths in the run's folder, with their sizes in bytes; there is one at least."""

    sizes: Mapping[str, int]
    is_kept: bool
    lost: tuple[str, ...] = ()
    """Those that are to be kept and cannot be, under the names that they would have."""

    def __str__(self) -> str:
        """`3 files (1.2 MB; the largest is model.pkl)`."""
        return f"{self._number} ({self._extent})"

    @property
    def remark(self) -> str:
        """Two lines for the user. An image that is not trainer's does not tell which of them were logged."""
        return f"The run wrote {self._number} in its folder ({self._extent}).\n{self._fate}"

    @property
    def _fate(self) -> str:
        if not self.is_kept:
            return (
                "Only what a script logs is kept. `trainer run --keep-files` stores such files as artifacts."
            )
        rest = f", except {', '.join(self.lost)}: its name is too long or taken" if self.lost else ""
        renamed = (name for path in self.sizes if (name := stored(path)) not in (path, *self.lost))
        escaped = next(renamed, None)
        how = f" Characters that the server cannot store are escaped: {escaped}." if escaped else ""
        return f"Stored as artifacts in {FOLDER}/{rest}.{how}"

    @property
    def _number(self) -> str:
        return counted(len(self.sizes), "file")

    @property
    def _extent(self) -> str:
        largest = max(self.sizes, key=lambda path: (self.sizes[path], path))
        return f"{_size(sum(self.sizes.values()))}; the largest is {stored(largest)}"


def settle(spool: SpoolWriter, run: Run, job: Job, folder: RunFolder, *, keep: bool) -> UnloggedFiles | None:
    """Look for what the ended job left, write it down, with `keep` the files themselves; None without any.

    Raises `DiskFull`.
    """
    written = job.written()
    if not written:
        return None
    logged = _logged(folder)
    sizes = {path: size for path, size in written.items() if stored(Path(path).name) not in logged}
    if not sizes:
        return None
    lost = _keep(spool, run, job, folder, sizes) if keep else ()
    unlogged = UnloggedFiles(sizes, keep, tuple(lost))
    spool.set_tags(run.id, {run_tags.LEFT_FILES: str(unlogged)})
    return unlogged


def _keep(spool: SpoolWriter, run: Run, job: Job, folder: RunFolder, paths: Iterable[str]) -> list[str]:
    """Store the files; returns the names of those that cannot be."""
    lost = []
    taken: set[str] = set()
    for path in sorted(paths):
        name = stored(path)
        with tempfile.TemporaryDirectory(dir=folder.path) as folder_path:
            # An escaped name is longer, and may be another file's.
            is_possible = name not in taken and all(
                len(os.fsencode(part)) <= _LONGEST for part in name.split("/")
            )
            file = job.bring(path, Path(folder_path)) if is_possible else None
            if file:
                spool.upload(run, file, f"{FOLDER}/{name}")
                taken.add(name)
            else:
                lost.append(name)
    return lost


def _logged(folder: RunFolder) -> set[str]:
    """The names of all files that went through the run's journal."""
    if not delivery.exists(folder):
        return set()
    entries = SoundSpool(folder.spool).entries()
    files = (str(entry.record["file"]) for entry in entries if entry.record and "file" in entry.record)
    return {file.rpartition("/")[2] for file in files}


def _size(size: int) -> str:
    if size < 1e5:
        return counted(size, "byte")
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
