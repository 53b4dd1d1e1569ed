"""Why a build failed, in one line: what the step that failed said at its end, and not the step."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ENDED = re.compile(r"#(\d+) ERROR: ")
_FAILED = re.compile(r'(?:ERROR: )?failed to solve: (?:process ".*" did not complete successfully: )?(.+)')
_FULL = "no space left on device"
# What uv and pip draw in front of a line, and what they add behind the cause.
_DRAWN = re.compile(r"^[\s×╰├│─▶]+")  # noqa: RUF001 (uv's own sign)
_ADVICE = re.compile(r"^(hint:|\[?notice\]?|WARNING:|warning:)")


def cause(lines: Sequence[str]) -> str:
    """Of the output of `docker buildx build --progress=plain`. A full disk comes before all else."""
    output = [undrawn(line) for line in _step(lines)]
    solved = [match.group(1).strip() for line in lines if (match := _FAILED.match(line))]
    full = next((line for line in [*output, *solved] if _FULL in line.lower()), None)
    reasons = [line for line in output if line and not _ADVICE.match(line)]
    other = [line.strip() for line in lines if line.strip()]
    return full or next(reversed(reasons or solved or other), "no output")


def undrawn(line: str) -> str:
    """A line of uv's or pip's without what they draw in front of it."""
    return _DRAWN.sub("", line).strip()


def is_full(why: str) -> bool:
    """Whether the cause is a full disk."""
    return _FULL in why.lower()


def _step(lines: Sequence[str]) -> list[str]:
    """What the step that failed said; nothing where BuildKit does not tell."""
    ended = [match.group(1) for line in lines if (match := _ENDED.match(line))]
    output = re.compile(rf"#{ended[-1]} \d+\.\d+ (.*)") if ended else None
    return [match.group(1) for line in lines if (match := output.match(line))] if output else []
