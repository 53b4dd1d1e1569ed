"""Images in JSON: a file as base64, or the pixels as nested numbers."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from trainkit.inference.predictor import Pixels

from model_server.refusals import Refused, invalid
from model_server.served import Served


class Pictures(NamedTuple):
    """`files` are those that the images were decoded from; none if one of them was sent as numbers."""

    images: list[Pixels]
    files: list[bytes]


async def read(served: Served, values: Sequence[object]) -> Pictures:
    """The images. Raises `Refused`, naming the one that is wrong; the first is 1."""
    most = served.limits.images
    if len(values) > most:
        raise invalid(f"The request has {len(values)} images, more than {most}.", "Send several requests.")
    read = await asyncio.gather(*(_read(served, value, number) for number, value in enumerate(values, 1)))
    files = [file for _, file in read if file is not None]
    return Pictures([image for image, _ in read], files if len(files) == len(read) else [])


async def _read(served: Served, value: object, number: int) -> tuple[Pixels, bytes | None]:
    if isinstance(value, str):
        file = _file(value, number)
        return await served.decoded(file, f"Image {number}"), file
    return await served.read(lambda: pixels(_array(value, number), served.images.size, number)), None


def _file(text: str, number: int) -> bytes:
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f"Image {number} is no base64.", "Send an image file as base64.") from None


def _array(value: object, number: int) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, np.object_)
    if array.dtype.kind not in "uif":
        raise _shapeless(number)
    return array


def pixels(array: np.ndarray, size: int, number: int) -> Pixels:
    """The array as the model takes it. Raises `Refused` for another shape, and for numbers beyond 0 … 255."""
    if array.shape != (size, size, 3):
        raise invalid(
            f"Image {number} has the shape {array.shape}, not ({size}, {size}, 3).",
            "Resize it, or send the image file: the server resizes it as training did.",
        )
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 255):
        raise invalid(f"Image {number} has numbers beyond 0 … 255.", "Send the pixels as they are.")
    return array.astype(np.uint8 if array.dtype.kind in "ui" else np.float32)


def _shapeless(number: int) -> Refused:
    return invalid(
        f"Image {number} is neither base64 nor nested numbers of height, width and color.",
        "Send an image file as base64.",
    )
