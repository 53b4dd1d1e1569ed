"""Which server is asked, for who would otherwise look at nothing."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.cli.live.line import Doing, Line
    from trainer.cli.live.outflow import BackgroundWriter

_SHOWN_AFTER_S = 1
_PAUSE_S = 1
"""Requests that are closer than that are one wait: each may be quick, and the command slow."""


class Asking:
    """Shows which server is asked once that takes a second, unless the command shows something itself."""

    def __init__(self) -> None:
        self._doing: Doing | None = None
        self._writer: BackgroundWriter | None = None
        self._began = self._ended = -math.inf

    @contextlib.contextmanager
    def __call__(self, uri: str) -> Iterator[None]:
        """Within: the server of that address is asked."""
        if not _is_waited_for():
            yield
            return
        self._begin(f"Asking {uri}")
        try:
            yield
        finally:
            self._end()

    def close(self) -> None:
        """Show nothing more."""
        if self._writer:
            self._writer.close(wait=False)
            self._writer = None

    def _begin(self, text: str) -> None:
        from trainer.cli.live.line import Doing
        from trainer.cli.live.outflow import BackgroundWriter
        from trainer.cli.streams import drawn_on

        now = time.monotonic()
        if self._writer is None or now - self._ended > _PAUSE_S:
            self.close()
            self._began = now
            self._writer = BackgroundWriter(drawn_on(sys.stderr).buffer, self._line())
        self._doing = Doing(text, self._began, part_since=self._began)
        self._writer.redraw()

    def _end(self) -> None:
        self._doing, self._ended = None, time.monotonic()
        if self._writer:
            self._writer.redraw()
            self._writer.settle()

    def _line(self) -> Line:
        from trainer.cli import diagnostics
        from trainer.cli.live.line import PlainLines, RedrawnLine, columns, redraws

        if redraws(sys.stderr) and not diagnostics.are_shown():
            return RedrawnLine(lambda: self._doing, lambda: columns(sys.stderr), drawn_after_s=_SHOWN_AFTER_S)
        return PlainLines(lambda: self._doing, lambda: -math.inf, _SHOWN_AFTER_S)


def _is_waited_for() -> bool:
    """Whether a person looks at nothing meanwhile: the main thread asks, and shows neither step nor bar."""
    from trainer.cli.live.progress import Progress
    from trainer.cli.output import Bar

    is_main = threading.current_thread() is threading.main_thread()
    return is_main and not (Progress.is_shown() or Bar.is_shown)
