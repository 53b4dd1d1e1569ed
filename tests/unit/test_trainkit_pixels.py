import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from trainkit import pixels
from trainkit.errors import InputError
from trainkit.pixels import Pixels

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
