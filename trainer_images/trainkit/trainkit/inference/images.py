"""Pictures as what a model takes, decoded by the very function that training used."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainkit.data import brightness, pixels
from trainkit.data.brightness import White
from trainkit.errors import InputError
from trainkit.inference.description import Images

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""What image folders have, and PPM. Of all that Pillow knows, some are read by starting other programs."""


@dataclass(frozen=True)
class Limits:
    """What is decoded at all: so many bytes of a file, and so many pixels of a picture."""

    bytes: int = 512 * 1024**2
    pixels: int = 2 * 89_478_485  # where Pillow stops as well


@dataclass(frozen=True)
class Picture:
    """The pixels, (size, size, 3), uint8, RGB, and what had to be converted, such as `CMYK`."""

    pixels: NDArray[np.uint8]
    conversions: tuple[str, ...]


def from_bytes(
    content: bytes, taken: Images, *, name: str = "The image", limits: Limits | None = None
) -> NDArray[np.uint8]:
    """The picture in the bytes of a file, as (size, size, 3), uint8, RGB.

    Raises `InputError`, with `name`, for what is no picture or only a part of one, has more bytes or pixels
    than `limits` allow, or cannot be shown in 8 bits.
    """
    with _checked(io.BytesIO(content), len(content), taken, name, limits or Limits()) as image:
        return pixels.square(image, taken.size, _white(taken))


def from_file(path: Path, taken: Images, *, limits: Limits | None = None) -> Picture:
    """The picture in a file. Raises `InputError` as `from_bytes` does, and where it cannot be read."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from None
    with file, _checked(file, path.stat().st_size, taken, str(path), limits or Limits()) as image:
        notes = tuple(pixels.conversions(image))
        return Picture(pixels.square(image, taken.size, _white(taken)), notes)


@contextmanager
def _checked(file: BinaryIO, size: int, taken: Images, name: str, limits: Limits) -> Iterator[Image.Image]:
    """The picture, open; its pixels are not yet decoded."""
    if not size:
        raise InputError(f"{name}: empty file", "Fix or remove it.")
    if size > limits.bytes:
        raise InputError(f"{name} has {size:,} bytes, more than {limits.bytes:,}.", "Use a smaller file.")
    with pixels.opened(file, name, FORMATS) as image:
        _refuse_too_large(image, name, limits.pixels)
        _refuse_without_shades(image, name, _white(taken))
        yield image


def _white(taken: Images) -> White:
    return White(taken.white_integers, taken.white_floats)


def _refuse_too_large(image: Image.Image, name: str, most: int) -> None:
    """By what the file says of itself, before a pixel is decoded."""
    width, height = image.size
    if width * height > most:
        raise InputError(
            f"{name} has {width:,} x {height:,} pixels, more than {most:,} together.",
            "Use a smaller picture.",
        )


def _refuse_without_shades(image: Image.Image, name: str, white: White) -> None:
    """As training refuses it: what is told to be white is one value for integers and floats."""
    values = brightness.values(image) if brightness.is_deep(image) else None
    told = white.integers if white.integers == white.floats else None
    if values and (reason := brightness.problem(values, told)):
        raise InputError(f"{name} {reason}.", "Save it with 8 bits.")
