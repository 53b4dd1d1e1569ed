"""A screen that keeps what it is told, for the tests of what has no screen of its own."""

from trainer.tracking.client import Run


class Shown:
    """Implements `Reporter`. `parts` have their counts behind them, as `4/7 installing 2 of 3`."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.parts: list[str] = []
        self.lines: list[str] = []
        self.remarks: list[str] = []
        self.printed = b""

    def step(self, text: str) -> None:
        self.steps.append(text)

    def part(self, text: str, count: str = "") -> None:
        self.parts.append(f"{text} {count}".strip())

    def detail(self, line: str) -> None:
        self.lines.append(line)

    def remark(self, text: str) -> None:
        self.remarks.append(text)

    def started(self, run: Run) -> None: ...

    def output(self, piece: bytes) -> None:
        self.printed += piece
