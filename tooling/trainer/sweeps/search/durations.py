"""Times as people write them: 90s, 30m, 8h, 2d."""

from __future__ import annotations

import re

EXAMPLES = "90s, 30m, 8h, 2d"
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float | None:
    """A number without a unit is in seconds. None for what is no time, or none at all."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    return (float(found[1]) * _UNITS[found[2]] or None) if found else None
