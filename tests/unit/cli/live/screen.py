"""What a terminal shows, of the few sequences that trainer writes."""

import re

_TOKEN = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|.", re.DOTALL)


class Screen:
    """Lines without an end: nothing wraps, and nothing scrolls away."""

    def __init__(self) -> None:
        self.lines = [""]
        self._row = self._column = 0

    def feed(self, written: bytes) -> None:
        """Show what is written next."""
        for token in _TOKEN.findall(written.decode()):
            match token:
                case "\r":
                    self._column = 0
                case "\n":
                    self._row += 1
                    self._column = 0
                    self.lines += [""] * (self._row + 1 - len(self.lines))
                case "\x1b[K":
                    self.lines[self._row] = self.lines[self._row][: self._column]
                case "\x1b[A":
                    self._row -= 1
                case _ if token.endswith("G") and len(token) > 1:
                    self._column = int(token[2:-1]) - 1
                case _ if token.startswith("\x1b"):
                    pass  # a colour
                case _:
                    before = self.lines[self._row].ljust(self._column)[: self._column]
                    self.lines[self._row] = before + token + self.lines[self._row][self._column + 1 :]
                    self._column += 1
