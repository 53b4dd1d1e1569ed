"""What trainer logs of its own work: on stderr with -v, and in a file in the folder of each run.

Modules log to `logging.getLogger(__name__)`: decisions, requests and calls of the engine as INFO, programs
that are run as DEBUG. No header, body or query of a request is logged, and each line is masked.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import requests

_ALL = logging.getLogger("trainer")
_FORMAT = logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
_IN_FILES = logging.Formatter(
    "%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S"
)
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")


class _Handler(logging.Handler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """A log that cannot be written, on a full disk say, is no reason to fail."""


class Lines(_Handler):
    """Hands each record of at least this level on as a line, masked."""

    def __init__(self, level: int, mask: Callable[[str], str], write: Callable[[str], None]) -> None:
        super().__init__(level)
        self._mask, self._write = mask, write
        self.setFormatter(_FORMAT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            self._write(self._mask(_CREDENTIALS.sub("", self.format(record))))
        except Exception:  # noqa: BLE001 (see handleError)
            self.handleError(record)


class RunLog(_Handler):
    """Keeps records until there is a folder for them, and a masker; from then on they go to a file."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []
        self._lines: Lines | None = None
        self._closing = contextlib.ExitStack()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep or write it."""
        if self._lines:
            self._lines.emit(record)
        else:
            self._records.append(record)

    def write_to(self, path: Path, mask: Callable[[str], str]) -> None:
        """Append what was kept, and all that follows, to this file."""
        with contextlib.suppress(OSError):
            file = self._closing.enter_context(path.open("a", encoding="utf-8", buffering=1))
            lines = Lines(logging.NOTSET, mask, lambda line: _append(file, line))
            lines.setFormatter(_IN_FILES)
            kept, self._records = self._records, []
            for record in kept:
                lines.emit(record)
            self._lines = lines

    def close(self) -> None:
        """Close the file."""
        self._closing.close()
        super().close()


@contextlib.contextmanager
def collected() -> Iterator[RunLog]:
    """Within: what trainer logs is kept for `RunLog.write_to`; without that, it is dropped."""
    log = RunLog()
    attach(log)
    try:
        yield log
    finally:
        detach(log)


def attach(handler: logging.Handler) -> None:
    """Have the handler get all that trainer logs. Until `detach`, those of the root logger get none."""
    _ALL.addHandler(handler)
    _ALL.setLevel(logging.DEBUG)
    _ALL.propagate = False


def detach(handler: logging.Handler) -> None:
    """Undo `attach`, and close the handler."""
    _ALL.removeHandler(handler)
    handler.close()
    if not _ALL.handlers:
        _ALL.setLevel(logging.NOTSET)
        _ALL.propagate = True


def _append(file: TextIO, line: str) -> None:
    file.write(line + "\n")


def answers_to(session: requests.Session, logger: logging.Logger) -> None:
    """Have each answer that the session gets logged: method, path, status and milliseconds."""

    def log(answer: requests.Response, *_: object, **__: object) -> None:
        path = urlsplit(answer.request.url or "").path
        took = answer.elapsed.total_seconds() * 1000
        logger.info("%s %s: %d, %.0f ms", answer.request.method, path, answer.status_code, took)

    session.hooks["response"].append(log)
