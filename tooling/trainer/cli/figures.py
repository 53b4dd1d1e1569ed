"""Numbers as people read them: times, sizes, metrics and curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

_LONG = 7  # digits of a number that is to be taken in at a glance
_BLOCKS = "▁▂▃▄▅▆▇█"


def status_colour(status: str) -> str:
    """The colour of a run's status."""
    return {"FINISHED": "green", "RUNNING": "yellow"}.get(status, "red")


def ago(seconds: float) -> str:
    """A time in the largest unit that says enough: `95 min`, `3 h`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def duration(seconds: float | None) -> str:
    """How long something took: `0.4 s`, `3 min 20 s`, `2 h 5 min`; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    total = round(seconds)
    if total < 120:
        return f"{total} s"
    if total < 7200:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600} h {total % 3600 // 60} min"


def size(count: int) -> str:
    """Bytes as `812 B`, `3.4 kB`, `1.2 GB`."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count} B"


def metric(value: float | None) -> str:
    """A metric's value with six digits; nothing for None."""
    return "" if value is None else f"{value:.6g}"


def rounded(text: str) -> str:
    """A parameter's value; of a number with many digits, four."""
    try:
        value = float(text)
    except ValueError:
        return text
    return text if len(text) <= _LONG else f"{value:.4g}"


def difference(value: float | None) -> str:
    """A difference with its sign: `+0.0067`; `=` for none, nothing for None."""
    if value is None:
        return ""
    return "=" if value == 0 else f"{value:+.3g}"


def short(digest: str, length: int = 12) -> str:
    """The beginning of a digest or an id that is long, enough to tell it from others."""
    text = digest.removeprefix("sha256:")
    is_digest = len(text) >= 32 and all(letter in "0123456789abcdef" for letter in text)
    return text[:length] if is_digest else digest


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """A curve in blocks, `▁▃▆█`; nothing for less than two values. What is no number leaves a gap."""
    if len(values) < 2:
        return ""
    shown = list(values) if len(values) <= width else _means(values, width)
    figures = [value for value in shown if math.isfinite(value)]
    if not figures:
        return ""
    low, span = min(figures), max(figures) - min(figures)
    if not math.isfinite(span):
        return ""
    return "".join(
        " " if not math.isfinite(value)
        else _BLOCKS[3] if span == 0
        else _BLOCKS[round((value - low) / span * (len(_BLOCKS) - 1))]
        for value in shown
    )  # fmt: skip


def _means(values: Sequence[float], width: int) -> list[float]:
    edges = [round(index * len(values) / width) for index in range(width + 1)]
    pieces = (
        [value for value in values[start:end] if math.isfinite(value)] for start, end in pairwise(edges)
    )
    return [sum(piece) / len(piece) if piece else math.nan for piece in pieces]
