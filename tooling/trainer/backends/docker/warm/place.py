"""The folder of a warm container on this machine: what is mounted into it, and whose run has it now."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer import archives, atomic_files, locks
from trainer.workspace.run_folder import RunFolder

LABEL = "trainer.warm"
"""The label that such a container is known by: its folder."""
_SMALL = 1 << 16


@dataclass(frozen=True)
class Place:
    """The three folders that are mounted stay where they are: what is in them belongs to one run at a time.

    What a run wrote there is a stranger's. It is read without following a link, and lies in the run's own
    folder as soon as the run has ended.
    """

    path: Path

    @property
    def code(self) -> Path:
        """Where the script runs."""
        return self.path / "code"

    @property
    def spool(self) -> Path:
        """The journal of the run that is here now."""
        return self.path / "spool"

    @property
    def exchange(self) -> Path:
        """Orders and answers: see `forkserver`."""
        return self.path / "exchange"

    @property
    def held(self) -> Path:
        """Locked by the process that gives the orders."""
        return self.exchange / "held"

    @property
    def _run(self) -> Path:
        """The id of the run that is here now."""
        return self.path / "run"

    @property
    def _moving(self) -> Path:
        return self.path / "moving"

    def make(self) -> None:
        """Make the folders. Only their owner may read them."""
        for folder in (self.code, self.spool, self.exchange):
            folder.mkdir(parents=True)
            folder.chmod(0o700)

    def occupant(self) -> str | None:
        """The id of the run that is here now, or has ended here and was not fetched."""
        with contextlib.suppress(OSError):
            return self._run.read_text()
        return None

    def move_in(self, run_id: str, folder: RunFolder, container: str) -> None:
        """Unpack the run's code here. From now on the run is found by what is written down in its folder."""
        for mounted in (self.code, self.spool, self.exchange):
            _empty(mounted, keep=(self.held.name, "ready"))
        with tarfile.open(folder.source) as packed:
            archives.unpack(packed, self.path)
        found = {"place": str(self.path), "container": container}
        atomic_files.write(folder.job_warm, json.dumps(found).encode())
        self._run.write_text(run_id)

    def take_journal(self, folder: RunFolder) -> None:
        """Have the run's journal here, and say so where it is looked for."""
        _move(folder.spool, self.spool)
        folder.spool.rmdir()
        folder.spool.symlink_to(self.spool)

    def tell(self, name: str, text: str = "") -> None:
        """Write a file for the forkserver."""
        atomic_files.write(self.exchange / name, text.encode())

    def move_out(self, run_id: str, folder: RunFolder) -> None:
        """Bring all that the run has here into its own folder. A second call does nothing.

        No process of the run may be left.
        """
        with locks.exclusive(self._moving):
            if self.occupant() != run_id or not folder.path.exists():
                return
            if folder.spool.is_symlink():
                folder.spool.unlink()
            for source, target in ((self.spool, folder.spool), (self.code, folder.job_code)):
                target.mkdir(exist_ok=True)
                _move(source, target)
            answers = {
                "output": folder.job_output,
                "oom": folder.job_out_of_memory,
                "result": folder.job_result,  # last: who finds it finds all
            }
            for name, target in answers.items():
                if self.is_answered(name):
                    (self.exchange / name).rename(target)
            self._run.unlink()

    def is_answered(self, name: str) -> bool:
        """Whether the forkserver has written that file."""
        return _is_file(self.exchange / name)

    def answer(self, name: str) -> str | None:
        """What the forkserver has written there; None if there is no such file."""
        with contextlib.suppress(OSError), opened(self.exchange / name) as descriptor:
            return os.read(descriptor, _SMALL).decode(errors="replace")
        return None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """A file that a run may have replaced, to be read. Raises `OSError` for what is none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(path)
        yield descriptor
    finally:
        os.close(descriptor)


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _move(source: Path, target: Path) -> None:
    """What is in the one folder into the other, on the same file system."""
    for entry in os.scandir(source):
        if entry.is_dir(follow_symlinks=False):  # to move a folder takes the right to write in it
            Path(entry.path).chmod(stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode) | 0o700)
        Path(entry.path).rename(target / entry.name)


def _empty(folder: Path, keep: tuple[str, ...] = ()) -> None:
    for entry in os.scandir(folder):
        if entry.name in keep:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
