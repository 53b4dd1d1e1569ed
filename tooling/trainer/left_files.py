"""What a command left in its folder and did not log: named at the end, or kept as artifacts."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainkit.spool_names import stored

from trainer import delivery
from trainer.backends import Job
from trainer.delivery import Notebook
from trainer.spool_guard import SoundSpool
from trainer.tracking import Run

TAG = "trainer.left_files"
FOLDER = "files"


@dataclass(frozen=True)
class LeftFiles:
    """Files, by their paths in the run's folder, with their sizes in bytes; there is one at least."""

    sizes: Mapping[str, int]
    is_kept: bool

    def __str__(self) -> str:
        """`3 files (1.2 MB; the largest is model.pkl)`."""
        return f"{self._number} ({self._extent})"

    @property
    def remark(self) -> str:
        """Two lines for the user. An image that is not trainer's does not tell which of them were logged."""
        fate = (
            f"Stored as artifacts in {FOLDER}/."
            if self.is_kept
            else "Only what a script logs is kept. `trainer run --keep-files` stores such files as artifacts."
        )
        return f"The run wrote {self._number} in its folder ({self._extent}).\n{fate}"

    @property
    def _number(self) -> str:
        return f"{len(self.sizes)} files" if len(self.sizes) > 1 else "1 file"

    @property
    def _extent(self) -> str:
        largest = max(self.sizes, key=lambda path: (self.sizes[path], path))
        return f"{_size(sum(self.sizes.values()))}; the largest is {largest}"


def settle(book: Notebook, run: Run, job: Job, folder: Path, *, keep: bool) -> LeftFiles | None:
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
    left = LeftFiles(sizes, keep)
    for path in sizes if keep else ():
        with tempfile.TemporaryDirectory(dir=folder) as place:
            if file := job.bring(path, Path(place)):
                book.upload(run, file, f"{FOLDER}/{stored(path)}")
    book.set_tags(run.id, {TAG: str(left)})
    return left


def _logged(folder: Path) -> set[str]:
    """The names of all files that went through the run's journal."""
    if not delivery.exists(folder):
        return set()
    entries = SoundSpool(folder / delivery.FOLDER).entries()
    files = (str(one.record["file"]) for one in entries if one.record and "file" in one.record)
    return {file.rpartition("/")[2] for file in files}


def _size(size: int) -> str:
    if size < 1e5:
        return f"{size:,} bytes"
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
