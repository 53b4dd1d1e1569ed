"""What is shown of a command's work: redrawn in a terminal, now and then elsewhere."""

import io

import pytest
from trainer.cli.live.line import Doing, PlainLines, RedrawnLine, duration, redraws

from unit.cli.live.screen import Screen


class Clock:
    """Time that a test lets pass."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that is one."""

    def isatty(self) -> bool:
        return True


def redrawn(doing: Doing | None, clock: Clock, columns: int = 80) -> RedrawnLine:
    return RedrawnLine(lambda: doing, lambda: columns, clock)


def test_the_line_has_step_part_count_and_clock() -> None:
    clock, screen = Clock(), Screen()
    line = redrawn(
        Doing("Building the image tabby", 38.0, "4/7 installing the packages", 90.0, "1 of 2"), clock
    )
    screen.feed(line.draw())
    assert screen.lines == ["⠋ Building the image tabby  4/7 installing the packages  1 of 2  1:02"]
    assert line.draw() == b""
    clock.now += 1
    screen.feed(line.draw())
    assert screen.lines[0].endswith("1:03")


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_a_line_that_is_too_long_is_cut_before_the_clock(columns: int) -> None:
    clock, screen = Clock(), Screen()
    screen.feed(redrawn(Doing("x" * 200, 100.0), clock, columns).draw())
    assert len(screen.lines[0]) == columns - 1
    assert screen.lines[0].endswith("x…  0:00")


def test_output_takes_the_place_of_the_line_which_comes_back_below() -> None:
    clock, screen = Clock(), Screen()
    line = redrawn(Doing("Running", 100.0), clock)
    screen.feed(line.draw())
    screen.feed(line.with_output(b"epoch 1\n"))
    assert screen.lines == ["epoch 1", ""]
    screen.feed(line.draw())
    assert screen.lines == ["epoch 1", "⠋ Running  0:00"]


def test_a_line_that_the_script_has_not_ended_goes_on_where_it_was() -> None:
    clock, screen = Clock(), Screen()
    line = redrawn(Doing("Running", 100.0), clock)
    screen.feed(line.with_output(b"first\n\r 10%|#  |\r 20%|## |"))
    assert line.draw() == b"", "it may go on at once"
    clock.now += 2
    screen.feed(line.draw())
    assert screen.lines == ["first", " 20%|## |", screen.lines[2]]
    assert "Running  0:02" in screen.lines[2]
    screen.feed(line.with_output(b" 0:30 left"))
    assert screen.lines == ["first", " 20%|## | 0:30 left", ""]


def test_colours_take_no_room_in_an_unfinished_line() -> None:
    clock = Clock()
    line = redrawn(Doing("Running", 100.0), clock)
    line.with_output("\x1b[32mdüe\x1b[0m".encode())
    clock.now += 2
    line.draw()
    assert line.with_output(b"!") == b"\r\x1b[K\x1b[A\x1b[4G!"


def test_nothing_is_left_of_the_line_at_the_end() -> None:
    clock, screen = Clock(), Screen()
    doing: list[Doing | None] = [Doing("Running", 100.0)]
    line = RedrawnLine(lambda: doing[0], lambda: 80, clock)
    assert line.draw()
    doing[0] = None
    screen.feed(line.draw())
    assert (screen.lines, line.draw()) == ([""], b"")


def plain(doing: list[Doing | None], clock: Clock, output_at: list[float]) -> PlainLines:
    return PlainLines(lambda: doing[0], lambda: output_at[0], clock=clock)


def test_without_a_terminal_what_takes_half_a_second_is_named_once() -> None:
    clock, output_at = Clock(), [0.0]
    doing: list[Doing | None] = [Doing("Building the image tabby", 100.0, part_since=100.0)]
    line = plain(doing, clock, output_at)
    assert line.draw() == b""
    clock.now += 0.6
    assert line.draw() == b"Building the image tabby\n"
    clock.now += 30
    assert line.draw() == b""
    doing[0] = Doing("Building the image tabby", 100.0, "2/7 fetching uv", 130.0)
    assert line.draw() == b"Building the image tabby: 2/7 fetching uv\n"


def test_without_a_terminal_there_is_a_line_a_minute_unless_something_else_is_printed() -> None:
    clock, output_at = Clock(), [0.0]
    doing: list[Doing | None] = [Doing("Running", 100.0, "fit", 100.0, "epoch 2/9")]
    line = plain(doing, clock, output_at)
    clock.now += 1
    assert line.draw() == b"Running: fit\n"
    written = []
    for _ in range(600):
        clock.now += 0.5
        written.append(line.draw())
    assert [text for text in written if text] == [
        b"Running: fit, epoch 2/9 (%d:01)\n" % minute for minute in range(1, 6)
    ]
    for _ in range(600):
        clock.now += 0.5
        output_at[0] = clock.now
        assert line.draw() == b""


def test_output_puts_a_name_off() -> None:
    clock, output_at = Clock(), [100.4]
    line = plain([Doing("Running", 100.0, part_since=100.0)], clock, output_at)
    clock.now = 100.6
    assert line.draw() == b""
    clock.now = 101.0
    assert line.draw() == b"Running\n"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, True), ({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False), ({"CI": "true"}, False)],
)
def test_a_line_is_redrawn_for_somebody_who_looks(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: bool
) -> None:
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert redraws(Terminal()) is expected
    assert not redraws(io.StringIO())


def test_durations() -> None:
    shown = {0: "0:00", 59.9: "0:59", 61: "1:01", 3600: "1:00:00", 7325: "2:02:05"}
    assert {seconds: duration(seconds) for seconds in shown} == shown
