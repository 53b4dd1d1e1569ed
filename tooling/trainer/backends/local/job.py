"""A run as a process group of this machine, known by the folder that it runs in."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from trainer import locks
from trainer.backends import written_files
from trainer.backends.base import JobResult, read_result
from trainer.workspace.run_folder import RunFolder

GRACE_S = 5  # as in a container
_POLL_S = 0.05


class LocalJob:
    """One process group and the folder it runs in."""

    def __init__(self, folder: RunFolder, child: subprocess.Popen[bytes] | None = None) -> None:
        self._folder = folder
        self._child = child

    def follow(self) -> Iterator[bytes]:
        """The output file as it grows."""
        with self._folder.job_output.open("rb") as written:
            while True:
                ended = self.end() is not None
                yield from iter(lambda: written.read(1 << 16), b"")
                if ended:
                    return
                time.sleep(_POLL_S)

    def output(self) -> Iterator[bytes]:
        """The output file so far."""
        with contextlib.suppress(FileNotFoundError), self._folder.job_output.open("rb") as written:
            yield from iter(lambda: written.read(1 << 16), b"")

    def end(self) -> JobResult | None:
        """The result that was written down; unknown if the process is gone without one."""
        if self._child is not None:
            self._child.poll()  # or it would stay a zombie
        alive = locks.held(self._folder.job_lock)
        # Looked at after the lock: the start script writes the result before it lets go.
        with contextlib.suppress(FileNotFoundError):
            written = self._folder.job_result
            if result := read_result(written.read_text()):
                return JobResult(result[0], stopped_by=result[1], at=written.stat().st_mtime)
        return None if alive else JobResult(None)

    def fetch(self, folder: RunFolder) -> None:
        """It wrote there itself."""

    def written(self) -> dict[str, int]:
        """What is newer in its folder than the code, which is of 1970."""
        return written_files.sizes(self._folder.job_code)

    def bring(self, path: str, folder: Path) -> Path | None:  # noqa: ARG002 (it is on this machine)
        """The file itself."""
        file = self._folder.job_code / path
        return file if file.exists() else None

    def stop(self) -> None:
        """SIGINT to the whole group, SIGKILL after the grace period."""
        self._signal(signal.SIGINT)
        deadline = time.monotonic() + GRACE_S
        while self.end() is None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        self._signal(signal.SIGKILL)
        while locks.held(self._folder.job_lock) and time.monotonic() < deadline + 2:
            time.sleep(_POLL_S)

    def _signal(self, number: int) -> None:
        # The lock says that the group is still the one we started, not a later one with the same number.
        if group := self.group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)

    @property
    def group(self) -> int | None:
        """The number of its process group while it runs."""
        if locks.held(self._folder.job_lock):
            with contextlib.suppress(FileNotFoundError, ValueError):
                return int(self._folder.job_pid.read_text())
        return None

    def remove(self) -> None:
        """End what still runs; the folder itself belongs to the launcher."""
        self._signal(signal.SIGKILL)
