from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from trainkit.data import pixels
from trainkit.data.brightness import White
from trainkit.errors import InputError
from trainkit.inference import images
from trainkit.inference.description import Images
from trainkit.inference.images import Limits

TAKEN = Images(size=16, layout="NHWC")
SHADES = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def refusal(content: bytes, taken: Images = TAKEN, limits: Limits | None = None) -> InputError:
    with pytest.raises(InputError) as refused:
        images.from_bytes(content, taken, name="a.png", limits=limits)
    return refused.value


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.fromarray(SHADES), "JPEG", exif=exif)


def animated() -> bytes:
    frames = [Image.fromarray(SHADES), Image.fromarray(255 - SHADES)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def see_through() -> bytes:
    return encoded(Image.fromarray(np.dstack([SHADES, SHADES[..., 0]])))


@pytest.mark.parametrize(
    ("content", "conversions"),
    [
        (encoded(Image.fromarray(SHADES)), ()),
        (encoded(Image.fromarray(SHADES), "WEBP"), ()),
        (rotated(), ()),
        (encoded(Image.fromarray(SHADES).convert("CMYK"), "JPEG"), ("CMYK",)),
        (see_through(), ("transparent (put on white)",)),
        (encoded(Image.fromarray(SHADES[..., 0].astype(np.uint16) * 200)), ("16-bit",)),
        (animated(), ("animated (its first frame is used)",)),
    ],
    ids=["PNG", "WebP", "EXIF", "CMYK", "RGBA", "16-bit", "animated"],
)
def test_a_picture_has_the_pixels_that_training_gives_it(
    tmp_path: Path, content: bytes, conversions: tuple[str, ...]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    taken = Images(size=16, layout="NHWC", white_integers=50_000)
    expected, _ = pixels.read(path, 16, White(50_000, 1))
    assert np.array_equal(images.from_bytes(content, taken), expected)
    from_file = images.from_file(path, taken)
    assert np.array_equal(from_file.pixels, expected)
    assert from_file.conversions == conversions


def test_a_camera_held_upright_is_seen_upright() -> None:
    left_red = np.zeros((20, 40, 3), np.uint8)
    left_red[:, :20, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right: what was left is above
    turned = images.from_bytes(encoded(Image.fromarray(left_red), "JPEG", exif=exif, quality=95), TAKEN)
    assert turned[2, 8, 0] > 200
    assert turned[13, 8, 0] < 50


def bomb(width: int, height: int) -> bytes:
    """A few hundred bytes that say they are so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    assert "exceeds limit of 178956970 pixels" in refusal(bomb(50_000, 50_000)).message
    told = refusal(bomb(3000, 2000), limits=Limits(pixels=5_000_000))
    assert told.message == "a.png has 3,000 x 2,000 pixels, more than 5,000,000 together."
    assert refusal(bytes(11), limits=Limits(bytes=10)).message == "a.png has 11 bytes, more than 10."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.png: empty file"),
        (b"age,plan\n1,2\n", "a.png: not an image"),
        (encoded(Image.fromarray(SHADES))[:500], "a.png: "),
        (rotated()[:-300], "a.png: "),
        (encoded(Image.fromarray(SHADES), "EPS"), "a.png: not an image"),  # another program would read it
        (
            encoded(Image.fromarray(np.full((9, 9), -5, np.int32)), "TIFF"),
            "a.png has negative values, down to",
        ),
        (encoded(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"), "not finite numbers"),
        (encoded(Image.fromarray(np.full((9, 9), 9, np.float32)), "TIFF"), "a.png has floats up to 9"),
    ],
    ids=["empty", "text", "cut PNG", "cut JPEG", "EPS", "negative", "NaN", "bright"],
)
def test_what_is_no_picture_is_refused(content: bytes, message: str) -> None:
    assert message in refusal(content).message


def test_floats_are_as_bright_as_the_dataset_was_told() -> None:
    tiff = encoded(Image.fromarray(np.full((9, 9), 50, np.float32)), "TIFF")
    taken = Images(size=4, layout="NHWC", white_integers=200, white_floats=200)
    assert np.unique(images.from_bytes(tiff, taken)).tolist() == [round(50 / 200 * 255)]


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'no.png'} cannot be read: No such file")):
        images.from_file(tmp_path / "no.png", TAKEN)
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match="empty file"):
        images.from_file(tmp_path / "empty.png", TAKEN)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    changed = np.frombuffer(content, np.uint8).copy()
    where = rng.integers(0, min(len(changed), 300), rng.integers(1, 20))
    changed[where] = rng.integers(0, 256, len(where))
    return changed.tobytes()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_damaged_file_is_refused_or_answered_and_raises_nothing_else() -> None:
    rng = np.random.default_rng(0)
    whole = [encoded(Image.fromarray(SHADES), kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")]
    results: list[NDArray[np.uint8] | None] = []
    for _ in range(100):
        for content in whole:
            try:
                results.append(images.from_bytes(damaged(content, rng), TAKEN))
            except InputError:
                results.append(None)
    assert any(result is None for result in results)
    assert {result.shape for result in results if result is not None} == {(16, 16, 3)}
