"""Images of more than 8 bits: which of their values is white. It is one for all images of a dataset.

A picture by itself does not say: 4095 is white to a camera of 12 bits, whose files have 16.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainkit.errors import InputError

P = TypeVar("P", bound=PurePath)
# What is white with 8, 10, 12, 14 and 16 bits.
_LEVELS = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))
_TELL = "Specify the white value (trainer run … --white 4095), or save them with 8 bits."


class Values(NamedTuple):
    """What an image of more than 8 bits holds. `low` and `high` are NaN where a value is no finite number.

    `colour` is of more than 8 bits in the file alone: Pillow reads the upper 8 of them.
    """

    kind: Literal["integers", "floats", "colour"]
    low: float
    high: float


@dataclass(frozen=True)
class White:
    """The value that becomes 255: of integers, and of floats."""

    integers: float = 65535
    floats: float = 1

    def bytes_of(self, image: Image.Image) -> Image.Image:
        """The image, of which `is_deep` is true, with 8 bits. What is brighter than white is white."""
        values = np.asarray(image, dtype=np.float64)
        white = self.floats if image.mode == "F" else self.integers
        return Image.fromarray(np.rint(values * (255 / white)).clip(0, 255).astype(np.uint8))


FULL = White()


def is_deep(image: Image.Image) -> bool:
    """Whether Pillow gives its pixels more than 8 bits: they are integers or floats."""
    return image.mode.startswith("I") or image.mode == "F"


def is_deep_colour(image: Image.Image) -> bool:
    """Whether the file has 16 bits for each colour, of which Pillow reads the upper 8."""
    return not is_deep(image) and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def depth(image: Image.Image) -> str | None:
    """How many bits the image has, in words that a count can stand before; None for 8 of them."""
    if is_deep_colour(image):
        return "16-bit colour (the upper 8 bits are used)"
    if not is_deep(image):
        return None
    return "32-bit" if image.mode in ("I", "F") else "16-bit"


def values(image: Image.Image) -> Values | None:
    """None for an image of 8 bits. Decodes the others."""
    if is_deep_colour(image):
        extremes = np.asarray(image)
        return Values("colour", float(extremes.min()) * 257, float(extremes.max()) * 257)
    if not is_deep(image):
        return None
    values: NDArray[np.generic] = np.asarray(image)
    kind: Literal["integers", "floats"] = "floats" if image.mode == "F" else "integers"
    if not np.isfinite(values).all():
        return Values(kind, np.nan, np.nan)
    return Values(kind, float(values.min()), float(values.max()))


def problem(values: Values, told: float | None = None) -> str | None:
    """Why an image with such values cannot be shown in 8 bits, in words that follow its name."""
    if np.isnan(values.low):
        return "has values that are not finite numbers"
    if values.low < 0:
        return f"has negative values, down to {values.low:g}"
    if told is None and values.kind == "floats" and values.high > 1:
        return f"has floats up to {values.high:g}, not between 0 and 1"
    if told is None and values.high > _LEVELS[-1]:
        return f"has integers up to {values.high:g}, of more than 16 bits"
    return None


def find(seen: Mapping[P, Values], told: float | None = None) -> White:
    """What is white in all of these images: `told`, or found from the brightest of them.

    Integers have the fewest bits that hold all their values (8, 10, 12, 14 or 16); floats are 0 … 1. Raises
    `InputError` for images of which that cannot be said.
    """
    bad = [(path, reason) for path, values in seen.items() if (reason := problem(values, told))]
    if bad:
        raise InputError(f"{_counted(bad)}: {bad[0][0]} {bad[0][1]}.", _TELL)
    dark = dark_colours(seen)
    if dark:
        raise InputError(
            f"{len(dark)} images have 16 bits for each colour and use few of them, up to "
            f"{max(seen[path].high for path in dark):g}: they would be nearly black. The first is {dark[0]}.",
            "Save them with 8 bits for each colour.",
        )
    if told is not None:
        return White(told, told)
    brightest = max((v.high for v in seen.values() if v.kind == "integers"), default=_LEVELS[-1])
    return White(next(level for level in _LEVELS if level >= brightest))


def dark_colours(seen: Mapping[P, Values]) -> list[P]:
    """The images of 16 bits for each colour, where not one of them all uses more than 14 bits."""
    found = {path: values.high for path, values in seen.items() if values.kind == "colour"}
    return list(found) if found and max(found.values()) < 2**14 else []


def _counted(bad: Sequence[object]) -> str:
    return (
        "An image cannot be shown in 8 bits"
        if len(bad) == 1
        else f"{len(bad)} images cannot be shown in 8 bits"
    )
