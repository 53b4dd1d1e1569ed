import math

import pytest
from trainer.cli import figures


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([1.0], ""),
        ([0.0, 1.0], "▁█"),
        ([2.0, 2.0, 2.0], "▄▄▄"),
        ([0.0, math.nan, 7.0], "▁ █"),
        ([math.nan, math.nan], ""),
        ([math.inf, 0.0, 1.0], " ▁█"),
        ([-1e308, 1e308, 0.0], ""),
        ([float(n) for n in range(8)], "▁▂▃▄▅▆▇█"),
    ],
)
def test_a_curve_in_blocks(values: list[float], drawn: str) -> None:
    assert figures.sparkline(values) == drawn


def test_a_long_curve_is_as_wide_as_asked_and_keeps_its_shape() -> None:
    drawn = figures.sparkline([float(n) for n in range(1000)], width=8)
    assert drawn == "▁▂▃▄▅▆▇█"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.44, "0.4 s"), (59.6, "60 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_how_long_something_took(seconds: float | None, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(812, "812 B"), (3400, "3.4 kB"), (1_200_000_000, "1.2 GB")])
def test_sizes(count: int, text: str) -> None:
    assert figures.size(count) == text
