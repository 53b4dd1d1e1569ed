import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageSequence
from trainkit.data import pixels
from trainkit.data.brightness import White
from trainkit.data.pixels import Pixels
from trainkit.errors import InputError

RNG = np.random.default_rng(0)


def picture(path: Path, size: tuple[int, int] = (60, 40), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    depth = {"RGB": 3, "RGBA": 4, "CMYK": 4}.get(mode)
    shape = (size[1], size[0]) if depth is None else (size[1], size[0], depth)
    Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8), mode).save(path)
    return path


def load(paths: list[Path], cache: Path, size: int = 16) -> Pixels:
    return pixels.load(paths, [str(path.read_bytes()) for path in paths], size, cache)


def test_a_picture_becomes_a_square_of_rgb(tmp_path: Path) -> None:
    array, notes = pixels.read(picture(tmp_path / "a.png"), 16)
    assert array.shape == (16, 16, 3)
    assert array.dtype == np.uint8
    assert notes == []


def test_colours_keep_their_places(tmp_path: Path) -> None:
    left_red = np.zeros((20, 40, 3), np.uint8)
    left_red[:, :20, 0] = 255
    left_red[:, 20:, 2] = 255
    Image.fromarray(left_red).save(tmp_path / "a.png")
    array, _ = pixels.read(tmp_path / "a.png", 8)
    assert array[4, 1].tolist() == [255, 0, 0]
    assert array[4, 6].tolist() == [0, 0, 255]


def test_a_large_jpeg_looks_like_the_same_png(tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, 1200 * 900 * 3).reshape(900, 1200, 3).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.png")
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    one, other = (pixels.read(tmp_path / name, 96)[0].astype(int) for name in ("a.png", "a.jpg"))
    assert np.abs(one - other).mean() < 3


@pytest.mark.parametrize(
    ("mode", "name", "note"),
    [
        ("CMYK", "a.jpg", "CMYK"),
        ("RGBA", "a.png", "transparent (put on white)"),
        ("L", "a.png", None),
        ("L", "a.gif", None),
        ("RGB", "a.webp", None),
        ("RGB", "a.bmp", None),
        ("RGB", "a.tiff", None),
    ],
)
def test_other_kinds_are_converted_and_said(tmp_path: Path, mode: str, name: str, note: str | None) -> None:
    array, notes = pixels.read(picture(tmp_path / name, mode=mode), 16)
    assert array.shape == (16, 16, 3)
    assert notes == ([note] if note else [])


def test_sixteen_bits_keep_their_shades(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
    Image.fromarray(ramp).save(tmp_path / "a.png")
    array, notes = pixels.read(tmp_path / "a.png", 64)
    assert notes == ["16-bit"]
    assert (array[0, 0, 0], array[0, -1, 0]) == (0, 255)
    assert abs(int(array[0, 32, 0]) - 129) <= 2


def deep(path: Path, values: NDArray[np.generic]) -> Path:
    Image.fromarray(values).save(path)
    return path


def ramp(top: int, kind: type[np.generic] = np.uint16) -> NDArray[np.generic]:
    return np.tile(np.linspace(0, top, 16), (16, 1)).astype(kind)


@pytest.mark.parametrize("kind", [np.uint16, np.int32])
@pytest.mark.parametrize(
    ("top", "white"), [(200, 255), (1000, 1023), (4000, 4095), (9000, 16383), (65535, 65535)]
)
def test_integers_are_scaled_by_the_bits_that_all_of_them_take(
    tmp_path: Path, top: int, white: int, kind: type[np.generic]
) -> None:
    bright, dark = ramp(top, kind), ramp(top // 4, kind)
    paths = [
        deep(tmp_path / "bright.tif", bright),
        deep(tmp_path / "dark.tif", dark),
        picture(tmp_path / "a.png"),
    ]
    made = load(paths, tmp_path / "cache")
    assert made.white == White(white)
    for row, values in enumerate((bright, dark)):
        # numpy's own arithmetic, in whole numbers
        expected = (values.astype(np.int64) * 510 + white) // (2 * white)
        assert np.abs(made.array[row, :, :, 0].astype(int) - expected).max() <= 1


def test_one_pixel_more_changes_no_scale_257_fold(tmp_path: Path) -> None:
    calm, lively = ramp(255), ramp(255)
    lively[3, 3] = 256
    paths = [deep(tmp_path / "calm.png", calm), deep(tmp_path / "lively.png", lively)]
    one, other = load(paths, tmp_path / "cache").array[..., 0]
    assert np.argwhere(one != other).tolist() == [[3, 3]]


def test_what_is_white_can_be_told_and_is_part_of_the_cache(tmp_path: Path) -> None:
    paths = [deep(tmp_path / "a.png", ramp(4000))]
    result = load(paths, tmp_path / "cache")
    told = pixels.load(paths, ["x"], 16, tmp_path / "cache", 2000)
    again = load(paths, tmp_path / "cache")
    assert (result.white, told.white, again.white) == (White(4095), White(2000, 2000), White(4095))
    assert (told.from_cache, again.from_cache) == (False, True)
    assert (told.array[0, 0, 8:, 0] == 255).all()
    assert np.array_equal(result.array, again.array)


def test_floats_from_0_to_1_are_scaled_and_others_only_when_told(tmp_path: Path) -> None:
    fine = deep(tmp_path / "a.tif", np.tile(np.linspace(0, 1, 16, dtype=np.float32), (16, 1)))
    assert load([fine], tmp_path / "cache").array[0, 0, :, 0].tolist() == [17 * step for step in range(16)]
    large = deep(tmp_path / "b.tif", np.full((16, 16), 30, np.float32))
    with pytest.raises(InputError, match=r"b.tif has floats up to 30, not between 0 and 1") as caught:
        load([fine, large], tmp_path / "cache")
    assert "--white" in caught.value.hint
    told = pixels.load([large], ["x"], 16, tmp_path / "cache", 60)
    assert np.unique(told.array).tolist() == [128]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((4, 4), np.nan, np.float32), "has values that are not finite numbers"),
        (np.full((4, 4), np.inf, np.float32), "has values that are not finite numbers"),
        (np.full((4, 4), -1000, np.int32), "has negative values, down to -1000"),
        (np.full((4, 4), 70_000, np.int32), "has integers up to 70000, of more than 16 bits"),
    ],
)
def test_what_cannot_be_scaled_is_refused_and_leaves_no_cache(
    tmp_path: Path, values: NDArray[np.generic], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        load([picture(tmp_path / "fine.png"), deep(tmp_path / "a.tif", values)], tmp_path / "cache")
    assert list((tmp_path / "cache" / "pixels").iterdir()) == []


def deep_colour(path: Path, top: int) -> Path:
    """A PNG of 16 bits for each colour, which Pillow cannot write."""
    values = np.linspace(0, top, 16 * 16 * 3).reshape(16, 16, 3).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return path


def test_sixteen_bits_of_each_colour_are_said_and_refused_where_nearly_all_would_be_black(
    tmp_path: Path,
) -> None:
    full, few = deep_colour(tmp_path / "full.png", 65535), deep_colour(tmp_path / "few.png", 4095)
    made = load([full, few], tmp_path / "cache")
    assert made.converted == {"16-bit colour (the upper 8 bits are used)": 2}
    assert made.array[0].max() == 255
    with pytest.raises(InputError, match=r"they would be nearly black. The first is .*few.png"):
        load([few], tmp_path / "cache")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"])
def test_every_mode_of_8_bits_is_as_pillow_converts_it(mode: str) -> None:
    colours = Image.fromarray(RNG.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.buildTransform(srgb, lab, "RGB", "LAB").apply(colours)
    else:
        image = colours.convert(mode)
    opaque = image.convert("RGB")
    assert np.array_equal(np.asarray(pixels.rgb(image)), np.asarray(opaque))


def test_black_and_white_pictures_are_black_and_white(tmp_path: Path) -> None:
    half = np.zeros((16, 16), dtype=bool)
    half[:, 8:] = True
    for name in ("a.png", "a.tif", "a.bmp"):
        Image.fromarray(half).save(tmp_path / name)
        array, notes = pixels.read(tmp_path / name, 16)
        assert (array[..., 0] == half * 255).all()
        assert notes == []


def test_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.gif") as saved:
        assert len(list(ImageSequence.Iterator(saved))) == 3
    array, notes = pixels.read(tmp_path / "a.gif", 8)
    assert notes == ["animated (its first frame is used)"]
    assert array[4, 4].tolist() == [255, 0, 0]


def test_a_cameras_jpeg_with_a_second_view_is_no_animation(tmp_path: Path) -> None:
    views = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    views[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=views[1:])
    array, notes = pixels.read(tmp_path / "a.jpg", 8)
    assert notes == []
    assert array[4, 4, 0] > 200


def test_transparency_is_put_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert pixels.read(tmp_path / "a.png", 8)[0].min() == 255


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    upside_down = Image.new("RGB", (20, 20), "black")
    upside_down.paste((255, 255, 255), (0, 0, 20, 10))
    exif = Image.Exif()
    exif[274] = 3  # orientation: rotated by 180 degrees
    upside_down.save(tmp_path / "a.jpg", exif=exif)
    array, _ = pixels.read(tmp_path / "a.jpg", 8)
    assert array[0].mean() < 40 < 200 < array[-1].mean()


@pytest.mark.parametrize(
    "content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\0\x10JFIF"]
)
def test_what_is_no_image_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(InputError, match=str(tmp_path / "a.jpg")):
        pixels.read(tmp_path / "a.jpg", 8)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_half_a_file_is_an_error(tmp_path: Path, name: str) -> None:
    path = picture(tmp_path / name, size=(300, 300))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=str(path)):
        pixels.read(path, 8)


def test_a_decompression_bomb_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="decompression bomb"):
        pixels.read(picture(tmp_path / "a.png"), 8)


def test_the_second_time_nothing_is_decoded(tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{number}.png", mode="RGBA" if number else "RGB") for number in range(3)]
    first = load(paths, tmp_path / "cache")
    second = load(paths, tmp_path / "cache")
    assert (first.from_cache, second.from_cache) == (False, True)
    assert np.array_equal(first.array, second.array)
    assert first.converted == second.converted == {"transparent (put on white)": 2}


def test_the_cache_goes_by_content_order_and_size(tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{number}.png") for number in range(2)]
    load(paths, tmp_path / "cache")
    assert not load(paths[::-1], tmp_path / "cache").from_cache
    assert not load(paths, tmp_path / "cache", size=17).from_cache
    moved = [path.rename(tmp_path / f"moved {path.name}") for path in paths]
    assert load(moved, tmp_path / "cache").from_cache
    picture(moved[0])
    assert not load(moved, tmp_path / "cache").from_cache


def test_files_that_cannot_be_read_are_counted_and_leave_no_cache(tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{number}.png") for number in range(4)]
    for path in paths[1:3]:
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=f"2 of 4 images cannot be read: {paths[1]}"):
        load(paths, tmp_path / "cache")
    assert list((tmp_path / "cache" / "pixels").iterdir()) == []


def test_what_killed_runs_left_is_removed_but_not_what_others_are_writing(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "pixels"
    folder.mkdir(parents=True)
    old, new = folder / "k.1.tmp", folder / "k.2.tmp"
    old.touch()
    new.touch()
    os.utime(old, (1, 1))
    load([picture(tmp_path / "a.png")], tmp_path / "cache")
    assert not old.exists()
    assert new.exists()
