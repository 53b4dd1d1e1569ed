"""Several lines that are redrawn in a terminal, below what is printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_FRAME_S = 0.25
_STYLES = re.compile(r"\x1b\[[0-9;]*m")


class RedrawnBlock:
    """Implements `Line` with more than one. `lines` is given the columns that each may have; none wraps.

    Whole lines are printed above it.
    """

    frame_s = _FRAME_S

    def __init__(self, lines: Callable[[int], Sequence[str]], columns: Callable[[], int]) -> None:
        self._lines, self._columns = lines, columns
        self._drawn: tuple[str, ...] = ()

    def draw(self) -> bytes:
        """Redrawn, or erased where there is no line."""
        lines = tuple(self._lines(self._columns() - 1))
        if lines == self._drawn:
            return b""
        before, self._drawn = self._to_start(), lines
        # Line by line in place of the old one: nothing flickers.
        text = "\r\n".join(f"{line}\x1b[K" for line in lines)
        return (before + text + ("\x1b[J" if before else "")).encode(errors="replace")

    def with_output(self, piece: bytes) -> bytes:
        """In the place of the lines, which are drawn below it again."""
        erased = f"{self._to_start()}\x1b[J".encode() if self._drawn else b""
        self._drawn = ()
        return erased + piece

    def _to_start(self) -> str:
        """To where the first line begins; a terminal that was made narrower has wrapped them."""
        if not self._drawn:
            return ""
        columns = max(self._columns(), 1)
        rows = sum(max(-(-_width(line) // columns), 1) for line in self._drawn)
        return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "")


def _width(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(_STYLES.sub("", line))
