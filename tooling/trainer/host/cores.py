"""Numbers of cores, as Linux writes lists of them: `0-3,8`."""

from __future__ import annotations

from collections.abc import Iterable


def written(numbers: Iterable[int]) -> str:
    """The list of these numbers."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)


def read(text: str) -> tuple[int, ...]:
    """The numbers of a list. Raises `ValueError` for anything else."""
    numbers: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        numbers |= set(range(int(first), int(last or first) + 1))
    return tuple(sorted(numbers))
