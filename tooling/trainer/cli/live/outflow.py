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

from trainer.cli.live.line import Line
from trainer.cli.streams import mute
from trainer.subprocesses import deferred_signals

_IN_MEMORY = 64 << 20  # what is more waits in a temporary file
_PIECE = 1 << 16
_PATIENCE_S = 2


class BackgroundWriter:
    """Writes to a stream in a thread of its own, which draws a live line too where there is one.

    A reader that goes away, and a disk that is full, are as good as one that reads.
    """

    def __init__(self, stream: BinaryIO, line: Line | None = None) -> None:
        self._stream = stream
        self._line = line
        self._waiting = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (as long as we live)
        self._read = self._written = 0
        self._is_settled = True
        self._closed = False
        self.trouble: OSError | None = None
        """What kept the latest piece from being written, other than a reader that has gone."""
        self._ready = threading.Condition()
        self._thread = threading.Thread(target=self._flow, daemon=True)

    def write(self, piece: bytes) -> None:
        """Have it written when the reader takes it; returns at once."""
        with deferred_signals(), self._ready:  # or the thread could wait for a lock that nobody gives back
            self._waiting.seek(self._written)
            self._waiting.write(piece)
            self._written += len(piece)
            self._changed()

    def redraw(self) -> None:
        """Have the line drawn, and redrawn from now on; returns at once."""
        with deferred_signals(), self._ready:
            self._changed()

    def settle(self) -> None:
        """Return when everything is written and the line is as it is to be, after a moment in any case."""
        with deferred_signals(), self._ready:
            self._ready.wait_for(lambda: self._is_settled, timeout=_PATIENCE_S)

    def _changed(self) -> None:
        self._is_settled = False
        self._ready.notify_all()
        if not self._thread.ident:
            self._thread.start()

    def close(self, *, wait: bool) -> None:
        """Return when the reader has taken everything; without `wait`, after a moment in any case."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
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
        """What is to be written next, when there is something; nothing at the end."""
        with self._ready:
            while True:
                if self._read < self._written:
                    return self._taken()
                if self._line and (drawn := self._line.draw()):
                    return drawn
                self._is_settled = True
                self._ready.notify_all()
                if self._closed:
                    return b""
                self._ready.wait(self._line.frame_s if self._line else None)

    def _taken(self) -> bytes:
        self._waiting.seek(self._read)
        piece = self._waiting.read(_PIECE)
        self._read += len(piece)
        if self._read == self._written:
            self._waiting.seek(0)
            self._waiting.truncate()
            self._read = self._written = 0
        return self._line.with_output(piece) if self._line else piece


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
