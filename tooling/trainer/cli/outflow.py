"""Output that waits for its reader without anything else waiting for it.

Somebody may stop reading (`trainer run … | less`) or go away (`| head -1`). A run still has to be followed to
its end then, and ended on the server.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
from typing import BinaryIO

from trainer.cli.streams import mute
from trainer.subprocesses import deferred_signals

_IN_MEMORY = 64 << 20  # what is more waits in a temporary file
_PIECE = 1 << 16
_PATIENCE_S = 2


class BackgroundWriter:
    """Writes to a stream in a thread of its own.

    A reader that goes away, and a disk that is full, are as good as one that reads.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (as long as we live)
        self._read = self._written = 0
        self._closed = False
        self.trouble: OSError | None = None
        """What kept the latest piece from being written, other than a reader that has gone."""
        self._ready = threading.Condition()
        self._thread = threading.Thread(target=self._flow, daemon=True)

    def write(self, piece: bytes) -> None:
        """Have it written when the reader takes it; returns at once."""
        with deferred_signals():  # or the thread could wait for a lock that nobody gives back
            with self._ready:
                self._waiting.seek(self._written)
                self._waiting.write(piece)
                self._written += len(piece)
                self._ready.notify()
            if not self._thread.ident:
                self._thread.start()

    def close(self, *, wait: bool) -> None:
        """Return when the reader has taken everything; without `wait`, after a moment in any case."""
        with self._ready:
            self._closed = True
            self._ready.notify()
        if self._thread.ident:
            self._thread.join(None if wait else _PATIENCE_S)

    def _flow(self) -> None:
        while piece := self._next():
            try:
                _write(self._stream, piece)
            except OSError as trouble:
                self.trouble = None if isinstance(trouble, BrokenPipeError) else trouble
                mute(self._stream)

    def _next(self) -> bytes:
        with self._ready:
            self._ready.wait_for(lambda: self._closed or self._read < self._written)
            self._waiting.seek(self._read)
            piece = self._waiting.read(_PIECE)
            self._read += len(piece)
            if self._read == self._written:
                self._waiting.seek(0)
                self._waiting.truncate()
                self._read = self._written = 0
            return piece


def _write(stream: BinaryIO, piece: bytes) -> None:
    try:
        number = stream.fileno()
    except io.UnsupportedOperation:
        stream.write(piece)
        stream.flush()
        return
    # Past the stream's buffer, whose lock this thread would otherwise hold while the process wants to end.
    while piece:
        piece = piece[os.write(number, piece) :]
