from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trainer.datasets.findings import Finding, Kind, Severity
from trainer.datasets.validate import validate
from trainer.datasets.verdict import Verdict
from trainkit.data import image_data
from trainkit.errors import InputError

from unit.datasets.pictures import dataset, picture
from unit.helpers import put


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A dataset with nothing wrong."""
    return dataset(tmp_path / "set", {"a": 4, "b": 4})


def found(root: Path, kind: Kind, near: int = 4) -> list[Finding]:
    """The findings of one kind, of which there must be others of no other kind."""
    verdict = validate(root, near, min_images=1)
    assert set(verdict.by_kind()) <= {kind}
    return list(verdict.findings)


def test_a_sound_dataset_has_no_findings(site: Path) -> None:
    assert validate(site, min_images=4) == Verdict(
        site, "8 images in 2 classes", {"images": 8, "classes": 2}, ()
    )


@pytest.mark.parametrize("share", [0, 0.001, 0.02, 0.3, 0.9, 0.99, 1])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".bmp", ".tif"])
def test_a_truncated_file_is_found_wherever_it_ends(site: Path, suffix: str, share: float) -> None:
    path = picture(site / "a" / f"x{suffix}", 99, (400, 300))
    whole = path.read_bytes()
    path.write_bytes(whole[: min(int(len(whole) * share), len(whole) - 5)])
    (finding,) = found(site, Kind.UNREADABLE)
    assert finding.paths == (f"a/x{suffix}",)
    assert finding.what
    assert finding.kind.severity is Severity.ERROR


def test_files_that_cannot_be_read_do_not_end_the_check(site: Path) -> None:
    put(site / "a" / "text.jpg", "no image")
    put(site / "b" / "zero.jpg")
    (site / "a" / "loop.jpg").symlink_to("loop.jpg")
    (site / "b" / "gone.jpg").symlink_to("nowhere.jpg")
    # A header that announces more pixels than there is memory for.
    put(
        site / "b" / "bomb.bmp",
        b"BM" + bytes(12) + (40).to_bytes(4, "little") + b"\xff\xff\xff\x7f" * 2 + bytes(40),
    )
    findings = found(site, Kind.UNREADABLE)
    assert [finding.paths[0] for finding in findings] == [
        "a/loop.jpg",
        "a/text.jpg",
        "b/bomb.bmp",
        "b/gone.jpg",
        "b/zero.jpg",
    ]
    assert findings[4].what == "empty file"
    assert findings[1].what == "not an image"
    assert findings[3].what == "No such file or directory"


def test_a_suffix_of_another_format_is_found(site: Path) -> None:
    (site / "a" / "0.png").rename(site / "a" / "0.JPG")
    (site / "b" / "0.png").rename(site / "b" / "0.tiff")
    picture(site / "b" / "fine.jpeg", 77)
    assert found(site, Kind.WRONG_SUFFIX) == [
        Finding(Kind.WRONG_SUFFIX, "it is PNG", ("a/0.JPG",)),
        Finding(Kind.WRONG_SUFFIX, "it is PNG", ("b/0.tiff",)),
    ]


def test_a_camera_jpeg_with_a_second_picture_in_it_has_no_wrong_suffix(site: Path) -> None:
    with Image.open(site / "a" / "0.png") as one, Image.open(site / "a" / "1.png") as two:
        one.save(site / "a" / "camera.jpg", format="MPO", save_all=True, append_images=[two])
    kinds = validate(site, distance=0, min_images=1).by_kind()
    assert Kind.WRONG_SUFFIX not in kinds


def test_copies_are_worse_across_classes(site: Path) -> None:
    same = (site / "a" / "0.png").read_bytes()
    put(site / "a" / "copy.png", same)
    assert found(site, Kind.COPY) == [Finding(Kind.COPY, "", ("a/0.png", "a/copy.png"))]
    put(site / "b" / "copy.png", same)
    assert found(site, Kind.TWO_CLASSES) == [
        Finding(Kind.TWO_CLASSES, "", ("a/0.png", "a/copy.png", "b/copy.png"))
    ]
    assert (Kind.COPY.severity, Kind.TWO_CLASSES.severity) == (Severity.WARNING, Severity.ERROR)


def test_near_copies_are_grouped_and_distinguished_from_copies(site: Path) -> None:
    for number, size in enumerate([(48, 48), (60, 60)]):
        picture(site / "a" / f"larger{number}.png", 0, size)  # what a/0.png shows
    put(site / "a" / "copy.png", (site / "a" / "1.png").read_bytes())
    kinds = validate(site, distance=2, min_images=1).by_kind()
    assert kinds == {
        Kind.COPY: [Finding(Kind.COPY, "", ("a/1.png", "a/copy.png"))],
        Kind.NEAR_COPY: [Finding(Kind.NEAR_COPY, "", ("a/0.png", "a/larger0.png", "a/larger1.png"))],
    }


def test_near_copies_in_two_classes_are_a_warning(site: Path) -> None:
    picture(site / "b" / "larger.png", 0, (48, 48))
    assert found(site, Kind.NEAR_TWO_CLASSES) == [
        Finding(Kind.NEAR_TWO_CLASSES, "", ("a/0.png", "b/larger.png"))
    ]
    assert Kind.NEAR_TWO_CLASSES.severity is Severity.WARNING


def test_leaks_between_splits_are_found_near_ones_as_warnings(tmp_path: Path) -> None:
    root = dataset(tmp_path, {"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 1, "test/a": 1})
    put(root / "val" / "a" / "leak.png", (root / "train" / "a" / "0.png").read_bytes())
    picture(root / "test" / "a" / "larger.png", 1, (48, 48))
    kinds = validate(root, min_images=1).by_kind()
    assert kinds == {
        Kind.LEAK: [Finding(Kind.LEAK, "", ("train/a/0.png", "val/a/leak.png"))],
        Kind.NEAR_LEAK: [Finding(Kind.NEAR_LEAK, "", ("test/a/larger.png", "train/a/1.png"))],
    }
    assert (Kind.LEAK.severity, Kind.NEAR_LEAK.severity) == (Severity.ERROR, Severity.WARNING)


def test_an_image_that_is_in_two_classes_and_two_splits_is_both(tmp_path: Path) -> None:
    root = dataset(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1})
    put(root / "val" / "b" / "leak.png", (root / "train" / "a" / "0.png").read_bytes())
    assert set(validate(root, min_images=1).by_kind()) == {Kind.TWO_CLASSES, Kind.LEAK}


def test_small_empty_and_lonely_classes_are_found(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", {"a": 3, "b": 5, "c": 0})
    verdict = validate(root, min_images=4)
    assert verdict.findings == (
        Finding(Kind.EMPTY_CLASS, "", ("c",)),
        Finding(Kind.FEW_IMAGES, "a has 3; 4 were asked for"),
    )
    lonely = dataset(tmp_path / "lonely", {"a": 3})
    assert found(lonely, Kind.ONE_CLASS) == [
        Finding(Kind.ONE_CLASS, "a classifier needs two at least", ("a",))
    ]


def test_a_class_that_is_not_trained_is_found(tmp_path: Path) -> None:
    root = dataset(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1, "val/c": 1})
    assert found(root, Kind.NOT_TRAINED) == [Finding(Kind.NOT_TRAINED, "c is in validation alone")]


def test_files_that_are_no_images_are_found_hidden_ones_are_not(site: Path) -> None:
    put(site / "a" / "Thumbs.db")
    put(site / "readme.md")
    put(site / "a" / ".DS_Store")
    assert [finding.paths for finding in found(site, Kind.NO_IMAGE)] == [("a/Thumbs.db",), ("readme.md",)]


def test_what_is_converted_is_noted_by_what_it_is(site: Path) -> None:
    with Image.open(site / "a" / "0.png") as one, Image.open(site / "a" / "1.png") as two:
        one.convert("CMYK").save(site / "a" / "cmyk.jpg")
        one.save(site / "b" / "animated.gif", save_all=True, append_images=[two])
        glass = one.copy()
        glass.putalpha(128)
        glass.save(site / "b" / "transparent.webp", lossless=True)
    kinds = validate(site, distance=0, min_images=1).by_kind()
    assert [(finding.paths[0], finding.what) for finding in kinds[Kind.PECULIAR]] == [
        ("a/cmyk.jpg", "CMYK"),
        ("b/animated.gif", "animated (its first frame is used)"),
        ("b/transparent.webp", "transparent (put on white)"),
    ]
    assert Kind.PECULIAR.severity is Severity.NOTE


def test_images_of_more_than_8_bits_are_a_warning_that_says_what_is_white_in_all(site: Path) -> None:
    ramp = np.tile(np.linspace(0, 1, 40), (40, 1))
    for name, top in (("a/bright.png", 4000), ("b/dark.png", 100)):
        Image.fromarray((ramp * top).astype(np.uint16)).save(site / name)
    Image.fromarray(ramp.astype(np.float32)).save(site / "b" / "float.tif")
    findings = validate(site, distance=0, min_images=1).by_kind()[Kind.MANY_BITS]
    assert [(finding.paths[0], finding.what) for finding in findings] == [
        ("a/bright.png", "0 … 4000, white is 4095 (--white says another value)"),
        ("b/dark.png", "0 … 100, white is 4095 (--white says another value)"),
        ("b/float.tif", "0 … 1, white is 1 (--white says another value)"),
    ]
    assert Kind.MANY_BITS.severity is Severity.WARNING


@pytest.mark.parametrize("value", [np.nan, -1.0, 300.0])
def test_values_that_cannot_be_scaled_are_an_error(site: Path, value: float) -> None:
    Image.fromarray(np.full((20, 20), value, np.float32)).save(site / "a" / "x.tif")
    kinds = validate(site, min_images=1).by_kind()
    assert [finding.paths for finding in kinds[Kind.UNSCALABLE]] == [("a/x.tif",)]
    with pytest.raises(InputError) as caught:
        image_data.load(site, 16, 0.2, 0, site.parent / "cache")
    assert kinds[Kind.UNSCALABLE][0].what in caught.value.message
    assert Kind.UNSCALABLE.severity is Severity.ERROR


def test_what_is_told_to_be_white_is_checked_with(site: Path) -> None:
    Image.fromarray(np.full((20, 20), 300, np.float32)).save(site / "a" / "x.tif")
    kinds = validate(site, min_images=1, white=400).by_kind()
    assert Kind.UNSCALABLE not in kinds
    assert kinds[Kind.MANY_BITS][0].what == "300 … 300, white is 400 (--white says another value)"


def test_dark_pictures_of_many_bits_are_compared_by_what_they_show(site: Path) -> None:
    coarse = np.kron(np.random.default_rng(5).integers(0, 4000, (12, 12)), np.ones((3, 3))).astype(np.uint16)
    for name, values in (("a/one.png", coarse), ("b/same.png", coarse // 100)):
        Image.fromarray(values).save(site / name)
    (finding,) = validate(site, min_images=1).by_kind()[Kind.NEAR_TWO_CLASSES]
    assert finding.paths == ("a/one.png", "b/same.png")


def test_a_folder_beside_the_splits_is_found(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", {f"{part}/{label}": 3 for part in ("train", "test") for label in "ab"})
    for path in (root / "test").rglob("*.png"):
        picture(path, 100 + len(str(path)) + int(path.stem) * 7 + ord(path.parent.name))
    picture(root / "unlabelled" / "1.png", 99)
    (finding,) = validate(root, distance=0, min_images=1).by_kind()[Kind.BESIDE_SPLITS]
    assert (finding.paths, finding.kind.severity) == (("unlabelled",), Severity.WARNING)


def test_a_dataset_one_folder_deeper_is_found(tmp_path: Path) -> None:
    dataset(tmp_path / "set" / "derm", {"a": 2, "b": 2})
    assert found(tmp_path / "set", Kind.DEEPER) == [
        Finding(Kind.DEEPER, "name that folder instead", ("derm",))
    ]


def test_links_that_a_run_cannot_follow_are_found(site: Path, tmp_path: Path) -> None:
    picture(tmp_path / "out.png", 77)
    (site / "a" / "out.png").symlink_to(tmp_path / "out.png")
    (site / "a" / "more").symlink_to("../../elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (site / "b" / "fine.png").symlink_to("0.png")
    findings = validate(site, min_images=1).by_kind()[Kind.LEADS_OUT]
    assert [(finding.paths[0], finding.what) for finding in findings] == [
        ("a/more", "to ../../elsewhere"),
        ("a/out.png", f"to {tmp_path}/out.png"),
    ]
    assert Kind.LEADS_OUT.severity is Severity.ERROR


def test_a_line_names_a_file_of_each_folder_first_and_all_if_asked() -> None:
    finding = Finding(Kind.TWO_CLASSES, "", ("a/1.png", "a/2.png", "a/3.png", "b/1.png"))
    assert finding.line(most=2) == "a/1.png = b/1.png = 2 more"
    assert finding.line() == "a/1.png = b/1.png = a/2.png = a/3.png"
    assert Finding(Kind.UNREADABLE, "not an image", ("a/1.png",)).line(most=2) == "a/1.png: not an image"


def test_every_kind_has_a_severity_and_the_worst_come_first() -> None:
    order = [kind.severity for kind in Kind]
    assert order[0] is Severity.ERROR
    assert order[-1] is Severity.NOTE
    errors = [severity is Severity.ERROR for severity in order]
    assert errors == sorted(errors, reverse=True)


def test_a_folder_that_is_no_dataset_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no folders of images"):
        validate(tmp_path)
