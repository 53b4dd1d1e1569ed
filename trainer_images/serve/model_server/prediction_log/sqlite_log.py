"""The log as the server has it: a queue with an end, and a thread that writes."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from model_server.prediction_log.database import Database, Unusable
from model_server.prediction_log.log import OK, Asked

_TOGETHER_S = 0.4
"""What comes within is written together: seldom, since who answers shares the interpreter with it."""
_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 15.0
_STOP_S = 3
_LARGEST_BATCH = 2000


@dataclass
class _Count:
    inputs: int = 0
    bytes: int = 0


class SqliteLog:
    """Writes to a file in a folder.

    Where that fails, it is tried again; what comes meanwhile waits, and is dropped where too much does.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limit: int,
        keeps_inputs: bool = False,
        most_inputs: int = 20_000,
        most_bytes: int = 64 * 1024**2,
        retry_s: float = _FIRST_RETRY_S,
    ) -> None:
        """`limit` is that of the file, in bytes. No more than `most_inputs` and `most_bytes` wait."""
        self.errors = self.dropped = 0
        self._open: Callable[[], Database] = partial(Database, folder, limit=limit, keeps_inputs=keeps_inputs)
        self._most_inputs, self._most_bytes, self._retry_s = most_inputs, most_bytes, retry_s
        # Each side counts for itself: who records waits for a shadow that does, never for who writes.
        self._recording = threading.Lock()
        self._waiting = deque[Asked]()
        self._recorded, self._written = _Count(), _Count()
        self._stopping = threading.Event()
        self._problem = ""
        self._thread = threading.Thread(target=self._work, name="prediction log", daemon=True)

    @property
    def status(self) -> str:
        """`ok`, or what is wrong now."""
        return f"error: {self._problem}" if self._problem else OK

    def start(self) -> None:
        """Write from now on."""
        self._thread.start()

    def record(self, asked: Asked) -> None:
        """Have it written."""
        count, size = len(asked.inputs), asked.size
        with self._recording:
            if (
                self._recorded.inputs - self._written.inputs + count > self._most_inputs
                or self._recorded.bytes - self._written.bytes + size > self._most_bytes
                or self._stopping.is_set()
            ):
                self.dropped += count
                return
            self._recorded.inputs += count
            self._recorded.bytes += size
            self._waiting.append(asked)

    def stop(self) -> None:
        """Write what is left; wait for that a moment. What cannot be written is counted and said."""
        self._stopping.set()
        self._thread.join(_STOP_S)
        if left := self._recorded.inputs - self._written.inputs:
            self.dropped += left
            print(f"Error: Predictions that are not in the log: {left}", file=sys.stderr, flush=True)

    def _work(self) -> None:
        database: Database | None = None
        retry_s = self._retry_s
        while batch := self._batch():
            try:
                database = database or self._open()
                database.write(batch)
            except Exception as error:  # noqa: BLE001 (whatever it is, the log goes on as soon as it can)
                if database:
                    with contextlib.suppress(sqlite3.Error):
                        database.close()
                database = None
                self._failed(error)
                if self._stopping.is_set():
                    break
                self._stopping.wait(retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
            else:
                retry_s, self._problem = self._retry_s, ""
                self._done(batch)
        if database:
            with contextlib.suppress(sqlite3.Error):
                database.close()

    def _batch(self) -> list[Asked]:
        """The first of what waits, which goes on waiting; empty at the end."""
        while not (self._stopping.wait(_TOGETHER_S) or self._waiting):
            pass
        return [self._waiting[n] for n in range(min(len(self._waiting), _LARGEST_BATCH))]

    def _done(self, batch: list[Asked]) -> None:
        for asked in batch:
            self._waiting.popleft()
            self._written.inputs += len(asked.inputs)
            self._written.bytes += asked.size

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        problem = str(error) if isinstance(error, (sqlite3.Error, OSError, Unusable)) else repr(error)
        if problem != self._problem:
            print(f"Error: The prediction log cannot be written: {problem}", file=sys.stderr, flush=True)
        self._problem = problem
