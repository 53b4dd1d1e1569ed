"""The standard streams, whatever they are: closed, full, or of an encoding that lacks most letters."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

from trainer import printable

if TYPE_CHECKING:
    from typing_extensions import Buffer


class _Named(io.FileIO):
    """A stream whose errors say which it is: by themselves they could be those of any file."""

    def write(self, piece: Buffer) -> int:
        try:
            return super().write(piece)
        except BrokenPipeError:
            # Without its number: click would end the process with code 1, which means something here.
            raise BrokenPipeError("the reader of standard output has gone") from None
        except OSError as trouble:
            trouble.filename = "standard output"
            raise


# The colours that trainer itself prints: none of them hides text.
_OURS = re.compile(r"(\x1b\[(?:[0124]|2[24]|3[1-6])m)")


def escaped(text: str) -> str:
    """The text without what could steer a terminal, but with trainer's own colours."""
    if text.isprintable():
        return text
    pieces = enumerate(_OURS.split(text))
    return "".join(piece if number % 2 else printable.lines(piece) for number, piece in pieces)


class _EscapingStream:
    """A stream that a person reads: whatever text it is given cannot steer the terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        return self.stream.write(escaped(text))

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


def prepare() -> None:
    """Have all three streams open, and able to take any text.

    The number of a stream that the shell closed (`>&-`) would be given to the next file that is opened, and
    what is printed would land in that file.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or _opened(io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace")
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        encoding, errors = (sys.stdout.encoding, sys.stdout.errors) if sys.stdout else ("utf-8", None)
        # What Latin-1 has no letter for is printed as an escape, as Python does on stderr.
        replaced = errors if errors and errors != "strict" else "backslashreplace"
        sys.stdout = _opened(_Named(1, "w", closefd=False), encoding, replaced)


def _opened(stream: io.FileIO, encoding: str, errors: str) -> TextIO:
    return io.TextIOWrapper(io.BufferedWriter(stream), encoding, errors, line_buffering=stream.isatty())


@contextlib.contextmanager
def harmless() -> Iterator[None]:
    """Within: control characters that are printed to stderr, or to a terminal, are escapes.

    What another program reads from stdout stays as it is.
    """
    before = sys.stdout, sys.stderr
    try:
        if sys.stdout.isatty():
            sys.stdout = cast(TextIO, _EscapingStream(sys.stdout))
        sys.stderr = cast(TextIO, _EscapingStream(sys.stderr))
        yield
    finally:
        sys.stdout, sys.stderr = before


def drawn_on(stream: TextIO) -> TextIO:
    """The stream itself, for what moves the cursor; that escapes by itself what it is given."""
    return stream.stream if isinstance(stream, _EscapingStream) else stream


@contextlib.contextmanager
def written() -> Iterator[None]:
    """Within: what is printed has been written when the block ends. Raises `OSError` where that cannot be.

    After that nothing more is written to stdout, not even at exit.
    """
    try:
        yield
        sys.stdout.flush()
    finally:
        _settle(sys.stdout)


@contextlib.contextmanager
def last_words() -> Iterator[None]:
    """Within: what is written to stderr is lost if that cannot be written."""
    try:
        with contextlib.suppress(OSError):
            yield
    finally:
        _settle(sys.stderr)


def _settle(stream: TextIO) -> None:
    """Leave nothing in the stream that Python would write, and complain about, as it ends."""
    try:
        stream.flush()
    except OSError:
        mute(stream.buffer)


def mute(stream: BinaryIO) -> None:
    """Nobody takes what is written to it: let that go nowhere from now on, and be no error."""
    with contextlib.suppress(io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
