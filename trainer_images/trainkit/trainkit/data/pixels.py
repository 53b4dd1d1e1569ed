"""Image files as arrays of pixels: decoded and resized once, then read from the cache."""

import hashlib
import json
import os
import struct
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from trainkit import live
from trainkit.data import brightness
from trainkit.data.brightness import FULL, Values, White
from trainkit.errors import InputError

# Raise it when the same file would come out as other pixels: it is part of the keys of what is cached.
RECIPE = 2
_STALE_S = 24 * 3600
# What Pillow raises at damaged files: in its own words, and where its readers stumble over what they read.
_SAID = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
_UNFORESEEN = (TypeError, LookupError, ArithmeticError, struct.error)


@dataclass(frozen=True)
class Pixels:
    """Images of one size: `array` is (n, size, size, 3), uint8, RGB, and may be mapped from a file.

    `converted` counts the images that were no plain 8-bit RGB or grey, by what they were. `white` is None
    where all images are of 8 bits.
    """

    array: NDArray[np.uint8]
    converted: dict[str, int]
    white: White | None = None
    from_cache: bool = False


def load(
    paths: Sequence[Path], digests: Sequence[str], size: int, cache: Path, white: float | None = None
) -> Pixels:
    """Decode all files, in order, or read what an earlier run decoded of the same contents.

    `digests` are of the files' bytes. `white` is the value that becomes 255 in images of more than 8 bits;
    without it, it is found from all of them. Raises `InputError`, naming the first of them, if any cannot be
    read, or cannot be shown in 8 bits (see `brightness.find`).
    """
    folder = cache / "pixels"
    folder.mkdir(parents=True, exist_ok=True)
    recipe = f"{RECIPE}\n{PIL.__version__}\n{size}\n{white}\n"
    key = hashlib.sha256((recipe + "\n".join(digests)).encode()).hexdigest()[:32]
    array_file, notes_file = folder / f"{key}.npy", folder / f"{key}.json"
    if array_file.exists():
        os.utime(array_file)  # so that what is used is not the oldest
        notes = json.loads(notes_file.read_text())
        white_value = White(**notes["white"]) if notes["white"] else None
        return Pixels(np.load(array_file, mmap_mode="r"), notes["converted"], white_value, from_cache=True)
    remove_stale(folder)
    unfinished = folder / f"{key}.{uuid.uuid4().hex}.tmp"
    try:
        converted, white_value = _decode(paths, size, unfinished, white)
        # The array comes last: where it is, its notes are too.
        notes = {"converted": converted, "white": asdict(white_value) if white_value else None}
        _replace_text(notes_file, json.dumps(notes))
        unfinished.replace(array_file)
    finally:
        unfinished.unlink(missing_ok=True)
    return Pixels(np.load(array_file, mmap_mode="r"), converted, white_value)


def _decode(
    paths: Sequence[Path], size: int, file: Path, told: float | None
) -> tuple[dict[str, int], White | None]:
    """Images of more than 8 bits are decoded twice: all have to be seen before one can be scaled."""
    shape = (len(paths), size, size, 3)
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)

    def first(position: int) -> list[str] | Values | InputError:
        try:
            with opened(paths[position]) as image:
                if values := brightness.values(image):
                    return values
                array[position], notes = _square(image, size)
        except InputError as error:
            return error
        return notes

    with ThreadPoolExecutor() as pool:
        results = list(live.counted(pool.map(first, range(len(paths))), len(paths), "images"))
        failures = [result for result in results if isinstance(result, InputError)]
        if failures:
            raise InputError(
                f"{len(failures)} of {len(paths)} images cannot be read: {failures[0].message}",
                "`trainer data validate` lists them all; fix or remove them.",
            )
        deep = {position: result for position, result in enumerate(results) if isinstance(result, Values)}
        white = brightness.find({paths[position]: v for position, v in deep.items()}, told) if deep else None

        def second(position: int) -> list[str]:
            array[position], notes = read(paths[position], size, white or FULL)
            return notes

        notes: Iterable[list[str]] = [result for result in results if isinstance(result, list)]
        notes = [*notes, *pool.map(second, deep)]
    array.flush()
    return dict(Counter(note for said in notes for note in said)), white


def read(path: Path, size: int, white: White = FULL) -> tuple[NDArray[np.uint8], list[str]]:
    """One file as (size, size, 3), uint8, RGB, stretched to a square; and what had to be converted.

    Raises `InputError` for a file that is no image, or not all of one.
    """
    with opened(path) as image:
        return _square(image, size, white)


def square(image: Image.Image, size: int, white: White = FULL) -> NDArray[np.uint8]:
    """An image that is open as (size, size, 3), uint8, RGB, stretched to a square."""
    if image.format == "JPEG":
        image.draft("RGB", (size, size))  # decodes no more pixels than needed
    return np.asarray(rgb(image, white).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0))


def conversions(image: Image.Image) -> list[str]:
    """What `square` has to convert, in words that a count can stand before. The pixels are not yet read."""
    depth = brightness.depth(image)
    return [*([depth] if depth else []), *peculiarities(image)]


def _square(image: Image.Image, size: int, white: White = FULL) -> tuple[NDArray[np.uint8], list[str]]:
    notes = conversions(image)
    return square(image, size, white), notes


class opened:  # noqa: N801 (used like a function)
    """Context manager: the file as a Pillow image; whatever is wrong with it becomes an `InputError`.

    What is no path has a `name` for its errors. `formats` are those that Pillow may try; None for all.
    """

    def __init__(
        self, source: Path | BinaryIO, name: str = "", formats: tuple[str, ...] | None = None
    ) -> None:
        self._source = source
        self._name = name or str(source)
        self._formats = formats
        self._image: Image.Image | None = None

    def __enter__(self) -> Image.Image:
        """Open the file; pixels are decoded when they are first used."""
        try:
            with warnings.catch_warnings(action="ignore"):  # of sizes that are unusual but readable
                self._image = Image.open(self._source, formats=self._formats)
        except (*_SAID, *_UNFORESEEN) as error:
            raise self._failure(error) from None
        return self._image

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Close the file."""
        if self._image is not None:
            self._image.close()
        if isinstance(error, (*_SAID, *_UNFORESEEN)):
            raise self._failure(error) from None

    def _failure(self, error: BaseException) -> InputError:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
        if isinstance(error, _UNFORESEEN):
            reason = "it is damaged"
        path = self._source
        if isinstance(path, Path) and path.exists() and not path.stat().st_size:
            reason = "empty file"
        return InputError(f"{self._name}: {reason}", "Fix or remove it.")


def peculiarities(image: Image.Image) -> list[str]:
    """What `rgb` has to convert, in words that a count can stand before: "CMYK", "animated", ….

    That there are more than 8 bits is said by `brightness.depth`.
    """
    notes = []
    # An MPO is a camera's JPEG with a preview or a second view after it.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        notes.append("animated (its first frame is used)")
    is_deep = brightness.is_deep(image)
    if image.mode not in ("RGB", "L", "P", "1", "RGBA", "LA", "PA") and not is_deep:
        notes.append(image.mode)
    if image.has_transparency_data and not is_deep:
        notes.append("transparent (put on white)")
    return notes


def rgb(image: Image.Image, white: White = FULL) -> Image.Image:
    """The picture as 8-bit RGB, upright as its EXIF data says, its first frame, transparency on white.

    `white` is of images of more than 8 bits.
    """
    upright = ImageOps.exif_transpose(image)
    if brightness.is_deep(upright):
        upright = white.bytes_of(upright)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return upright.convert("RGB")


def _replace_text(path: Path, text: str) -> None:
    unfinished = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    unfinished.write_text(text)
    unfinished.replace(path)


def remove_stale(folder: Path) -> None:
    """Remove what killed runs left unfinished."""
    for path in folder.glob("*.tmp"):
        if path.stat().st_mtime < time.time() - _STALE_S:
            path.unlink(missing_ok=True)
