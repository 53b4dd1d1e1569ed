"""A job's output: what its script prints, and between that, what trainkit says of its progress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trainkit import live

_LONGEST = 1024
_LINE_EVERY_S = 60


@dataclass(frozen=True)
class Said:
    """What the run is doing, and how far that is; `at` is when, in seconds since 1970."""

    at: int
    part: str
    count: str


class JobOutput:
    """Takes a stream of output apart, which arrives in arbitrary pieces."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> Iterator[bytes | Said]:
        """What the script printed, as it is, and what was said, in their order."""
        text, self._held = self._held + piece, b""
        while text:
            printed, start, rest = text.partition(live.START)
            if not start:
                kept = len(text) - _begun(text)
                yield from (part for part in (text[:kept],) if part)
                self._held = text[kept:]
                return
            if printed:
                yield printed
            said, end, after = rest.partition(live.END)
            if not end and len(rest) <= _LONGEST:
                self._held = start + rest
                return
            if end and (parsed := _parsed(said)):
                yield parsed
            else:
                yield start + said + end
            text = after

    def flush(self) -> bytes:
        """What could have become more: the stream has ended."""
        held, self._held = self._held, b""
        return held


def logged(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The output as a log has it: a line of what was said where nothing was printed for a minute."""
    output, printed_at, now, at_line_start = JobOutput(), None, None, True
    for piece in pieces:
        for item in output.feed(piece):
            if isinstance(item, bytes):
                yield item
                printed_at, at_line_start = now, item.endswith(b"\n")
                continue
            now = item.at
            if printed_at is None:
                printed_at = now
            if item.part and at_line_start and now - printed_at >= _LINE_EVERY_S:
                yield f"{': '.join(word for word in (item.part, item.count) if word)}\n".encode()
                printed_at = now
    if held := output.flush():
        yield held


def _begun(text: bytes) -> int:
    """How many bytes at the end may be the beginning of something said."""
    lengths = range(min(len(live.START) - 1, len(text)), 0, -1)
    return next((length for length in lengths if live.START.startswith(text[-length:])), 0)


def _parsed(said: bytes) -> Said | None:
    at, _, text = said.decode(errors="replace").partition(";")
    part, between, count = text.partition(live.BETWEEN)
    return Said(int(at), part, count) if between and at.isdecimal() else None
