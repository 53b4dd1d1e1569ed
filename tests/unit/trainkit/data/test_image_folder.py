import os
import time
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest
from trainkit.data import image_folder
from trainkit.data.image_folder import TEST, TRAIN, VALIDATION, Image, ImageFolder
from trainkit.errors import InputError

from unit.helpers import put

SHARES = {TRAIN: 0.7, VALIDATION: 0.15, TEST: 0.15}


def fill(root: Path, counts: dict[str, int]) -> ImageFolder:
    for label, count in counts.items():
        for number in range(count):
            put(root / label / f"IMG {number:04}.JPG", f"{label} {number}")
    return image_folder.scan(root)


def splits(folder: ImageFolder, shares: dict[str, float] = SHARES, seed: int = 0) -> ImageFolder:
    return image_folder.split(folder, image_folder.content_digests(folder), shares, seed)


def told(root: Path) -> list[str]:
    return [problem.message for problem in image_folder.problems(image_folder.scan(root))]


def test_a_folder_is_a_class_and_names_are_taken_as_they_are(tmp_path: Path) -> None:
    folder = fill(tmp_path, {"healthy_skins": 1, "Acne and Rosacea Photos": 2})
    assert folder.classes == ("Acne and Rosacea Photos", "healthy_skins")
    assert folder.images[0] == Image(
        PurePosixPath("Acne and Rosacea Photos/IMG 0000.JPG"), "Acne and Rosacea Photos"
    )
    assert folder.counts() == {"Acne and Rosacea Photos": 2, "healthy_skins": 1}
    assert not folder.is_split


def test_images_may_lie_deeper_in_their_class(tmp_path: Path) -> None:
    put(tmp_path / "a" / "2019" / "spring" / "1.png")
    put(tmp_path / "b" / "1.png")
    assert [(str(i.path), i.label) for i in image_folder.scan(tmp_path).images] == [
        ("a/2019/spring/1.png", "a"),
        ("b/1.png", "b"),
    ]


def test_hidden_files_are_no_part_of_it_and_others_are_listed(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 1, "b": 1})
    for name in (".DS_Store", "a/.hidden.jpg", ".git/x.jpg"):
        put(tmp_path / name)
    for name in ("readme.txt", "a/Thumbs.db", "b/movie.mp4"):
        put(tmp_path / name)
    folder = image_folder.scan(tmp_path)
    assert len(folder.images) == 2
    assert [str(path) for path in folder.passed_over] == ["a/Thumbs.db", "b/movie.mp4", "readme.txt"]


@pytest.mark.parametrize(
    "names", [("train", "validation", "test"), ("training", "val", "testing"), ("Train", "valid")]
)
def test_splits_are_known_by_their_usual_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        fill(tmp_path / name, {"a": 2, "b": 1})
    folder = image_folder.scan(tmp_path)
    assert folder.is_split
    assert folder.classes == ("a", "b")
    assert folder.counts(TRAIN) == {"a": 2, "b": 1}
    assert len(folder.of(VALIDATION)) == 3


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    folder = fill(tmp_path, {"test": 1, "control": 1})
    assert (folder.classes, folder.is_split) == (("control", "test"), False)
    assert not fill(tmp_path / "x", {"train": 1, "bus": 1}).is_split


@pytest.mark.parametrize("beside", ["unlabelled/1.jpg", "docs/readme.txt", "__MACOSX/._x", "extra/a/1.jpg"])
def test_a_folder_beside_the_splits_is_no_class_and_is_named(tmp_path: Path, beside: str) -> None:
    for split in ("train", "test"):
        fill(tmp_path / split, {"a": 2, "b": 1})
    put(tmp_path / beside)
    folder = image_folder.scan(tmp_path)
    assert (folder.classes, folder.is_split, len(folder.images)) == (("a", "b"), True, 6)
    assert folder.beside == (beside.partition("/")[0],)


def test_splits_without_training_images_are_splits_all_the_same(tmp_path: Path) -> None:
    for split in ("val", "test"):
        fill(tmp_path / split, {"a": 1, "b": 1})
    assert told(tmp_path)[0] == f"The class a is in {tmp_path}/validation but not in train."


def test_images_of_a_split_that_are_in_no_class_are_named(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 1, "b": 1})
    put(tmp_path / "test" / "1.jpg")
    assert image_folder.scan(tmp_path).passed_over == (PurePosixPath("test/1.jpg"),)


def test_train_alone_with_images_beside_it_could_be_a_class_and_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 2, "b": 1})
    put(tmp_path / "docs" / "readme.txt")
    assert image_folder.scan(tmp_path).beside == ("docs",)
    put(tmp_path / "unlabelled" / "1.jpg")
    with pytest.raises(InputError, match="train could be a split or a class") as caught:
        image_folder.scan(tmp_path)
    assert f"move unlabelled/ out of {tmp_path}" in caught.value.hint
    # The hint leads on, both ways.
    for path in sorted((tmp_path / "train").rglob("*.JPG")):
        path.rename(tmp_path / "train" / f"{path.parent.name} {path.name}")
    assert image_folder.scan(tmp_path).classes == ("docs", "train", "unlabelled")
    (tmp_path / "unlabelled").rename(tmp_path.parent / "moved")
    fill(tmp_path / "train", {"a": 2, "b": 1})
    assert image_folder.scan(tmp_path).classes == ("a", "b")


@pytest.mark.parametrize("inner", ["Derm", "archive/Derm", "Derm/train", "Derm/two words"])
def test_a_dataset_one_folder_deeper_is_reported(tmp_path: Path, inner: str) -> None:
    fill(tmp_path / "set" / inner, {"a": 1, "b": 1})
    put(tmp_path / "set" / "__MACOSX" / "._x")
    with pytest.raises(InputError, match=f"has one folder with images, {inner}, and the classes") as caught:
        image_folder.check(image_folder.scan(tmp_path / "set"))
    assert caught.value.hint == f"Specify that folder instead: set/{inner}"
    image_folder.check(image_folder.scan(tmp_path / "set" / inner))


def test_splits_one_folder_deeper_are_reported_too(tmp_path: Path) -> None:
    for split in ("train", "test"):
        fill(tmp_path / "set" / "Derm" / split, {"a": 1, "b": 1})
    assert told(tmp_path / "set")[0].startswith(f"{tmp_path}/set has one folder with images, Derm,")


@pytest.mark.parametrize("place", ["a/{}.jpg", "{}/1.jpg", "a/{}/1.jpg"])
def test_a_name_that_is_not_utf_8_is_an_error_that_names_it(tmp_path: Path, place: str) -> None:
    fill(tmp_path, {"a": 1, "b": 1})
    put(tmp_path / place.format(os.fsdecode(b"x\xff")))
    with pytest.raises(InputError, match=r"The name of .*x\ufffd.* is not UTF-8"):
        image_folder.scan(tmp_path)


def test_the_same_content_in_two_splits_is_found(tmp_path: Path) -> None:
    put(tmp_path / "train" / "a" / "1.jpg", "x")
    put(tmp_path / "train" / "a" / "2.jpg", "x")
    put(tmp_path / "train" / "b" / "1.jpg", "y")
    folder = image_folder.scan(tmp_path)
    assert image_folder.shared(folder, image_folder.content_digests(folder)) == []
    put(tmp_path / "test" / "a" / "9.jpg", "x")
    folder = image_folder.scan(tmp_path)
    assert image_folder.shared(folder, image_folder.content_digests(folder)) == [
        tuple(map(PurePosixPath, ("test/a/9.jpg", "train/a/1.jpg", "train/a/2.jpg")))
    ]


def test_what_is_no_folder_of_classes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        image_folder.scan(tmp_path / "none")
    put(tmp_path / "1.jpg")
    with pytest.raises(InputError, match="has no folders of images"):
        image_folder.scan(tmp_path)


def test_a_sound_folder_has_no_problems(tmp_path: Path) -> None:
    folder = fill(tmp_path, {"a": 1, "b": 1})
    assert image_folder.check(folder) is folder


def test_an_empty_class_is_a_problem(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 1, "b": 1})
    put(tmp_path / "c" / "notes.txt")
    assert told(tmp_path) == [f"The class folder {tmp_path}/c has no images."]
    with pytest.raises(InputError, match="has no images"):
        image_folder.check(image_folder.scan(tmp_path))


def test_one_class_only_is_a_problem(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 3})
    assert told(tmp_path) == [f"{tmp_path} has one class only: a."]


def test_a_class_that_is_not_in_training_is_a_problem(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 1, "b": 1})
    fill(tmp_path / "validation", {"a": 1, "c": 1})
    fill(tmp_path / "test", {"d": 1})
    assert told(tmp_path) == [
        f"The class c is in {tmp_path}/validation but not in train.",
        f"The class d is in {tmp_path}/test but not in train.",
    ]


def test_the_digest_is_of_names_and_contents_alone(tmp_path: Path) -> None:
    def digest(root: Path) -> str:
        folder = image_folder.scan(root)
        return image_folder.folder_digest(folder, image_folder.content_digests(folder))

    fill(tmp_path / "x", {"a": 2, "b": 2})
    before = digest(tmp_path / "x")
    assert len(before) == 8
    (tmp_path / "x").rename(tmp_path / "y")
    os.utime(tmp_path / "y" / "a" / "IMG 0000.JPG", (1, 1))
    assert digest(tmp_path / "y") == before
    (tmp_path / "y" / "a" / "IMG 0000.JPG").write_text("changed")
    changed = digest(tmp_path / "y")
    (tmp_path / "y" / "a" / "IMG 0000.JPG").rename(tmp_path / "y" / "a" / "IMG 0009.JPG")
    assert len({before, changed, digest(tmp_path / "y")}) == 3


def test_every_class_is_cut_by_the_shares(tmp_path: Path) -> None:
    folder = splits(fill(tmp_path, {"a": 100, "b": 40}))
    assert folder.counts(TRAIN) == {"a": 70, "b": 28}
    assert folder.counts(VALIDATION) == {"a": 15, "b": 6}
    assert folder.counts(TEST) == {"a": 15, "b": 6}


@pytest.mark.parametrize("count", [3, 4, 5, 7])
def test_a_small_class_has_an_image_in_every_split(tmp_path: Path, count: int) -> None:
    folder = splits(fill(tmp_path, {"a": count, "b": 20}))
    assert min(folder.counts(split)["a"] for split in SHARES) >= 1


def test_a_class_with_too_few_different_images_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 20})
    put(tmp_path / "a" / "copy.jpg", "a 0")
    with pytest.raises(
        InputError, match="The class a has 2 different images: too few for train, validation, test"
    ):
        splits(image_folder.scan(tmp_path))


def test_copies_stay_on_one_side_even_across_classes(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 30, "b": 30})
    for number in range(30):
        put(tmp_path / "a" / f"copy {number}.jpg", f"a {number}")
        put(tmp_path / "b" / f"wrong {number}.jpg", f"a {number}")
    folder = splits(image_folder.scan(tmp_path))
    digests = image_folder.content_digests(folder)
    sides = {(digests[image.path], image.split) for image in folder.images}
    assert len(sides) == len(set(digests.values())) == 60
    assert {split for _, split in sides} == set(SHARES)


def test_the_split_goes_by_content_and_seed(tmp_path: Path) -> None:
    one, other = fill(tmp_path / "x", {"a": 50, "b": 50}), tmp_path / "y"
    for image in one.images:
        renamed = f"{hash(image.path) % 1000:04} {image.path.name}"
        put(other / image.label / renamed, (one.root / image.path).read_bytes())

    def sides(folder: ImageFolder, seed: int) -> Counter[tuple[str, str | None]]:
        cut = splits(folder, seed=seed)
        return Counter(((cut.root / image.path).read_text(), image.split) for image in cut.images)

    assert sides(one, 0) == sides(image_folder.scan(other), 0)
    assert sides(one, 0) != sides(one, 1)


def test_a_split_without_a_share_stays_empty(tmp_path: Path) -> None:
    folder = splits(fill(tmp_path, {"a": 10, "b": 10}), {TRAIN: 0.8, VALIDATION: 0.2, TEST: 0})
    assert (len(folder.of(TRAIN)), len(folder.of(VALIDATION)), len(folder.of(TEST))) == (16, 4, 0)


@pytest.mark.parametrize("shares", [{TRAIN: 0.5, VALIDATION: 0.4}, {TRAIN: 1.2, VALIDATION: -0.2}])
def test_shares_have_to_add_up(tmp_path: Path, shares: dict[str, float]) -> None:
    with pytest.raises(InputError, match=rf"do not add up to 1: train {shares[TRAIN]}, validation "):
        splits(fill(tmp_path, {"a": 10, "b": 10}), shares)


def test_twenty_thousand_images_are_listed_and_cut_without_delay(tmp_path: Path) -> None:
    images = tuple(
        Image(PurePosixPath(f"{number % 24:02}/{number:05}.jpg"), f"{number % 24:02}")
        for number in range(20_000)
    )
    folder = ImageFolder(tmp_path, tuple(f"{number:02}" for number in range(24)), tuple(sorted(images)))
    digests = {image.path: f"{number:064x}" for number, image in enumerate(images)}
    start = time.process_time()
    cut = image_folder.split(folder, digests, SHARES, seed=0)
    assert len(cut.of(TRAIN)) == pytest.approx(14_000, abs=24)
    assert time.process_time() - start < 10  # it takes 0.2; growth with the square would take minutes
