import contextlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from trainer.datasets.build import building, copying, subset
from trainer.datasets.build.copying import Link
from trainer.errors import InvalidInput

from unit.datasets.pictures import dataset, hit_everywhere, tree
from unit.helpers import fails, put

CLASSES = ("Acne Photos", "Bullous Disease", "Eczema Photos", "Warts, Molluscum", "healthy_skins")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["first:3,healthy_skins"], [*CLASSES[:3], "healthy_skins"]),
        (["first:1", "Eczema Photos"], ["Acne Photos", "Eczema Photos"]),
        (["Acne_Photos , Eczema"], ["Acne Photos", "Eczema Photos"]),
        (["Bullous_Disease"], ["Bullous Disease"]),
        (["*Photos"], ["Acne Photos", "Eczema Photos"]),
        (["Bullous_?isease"], ["Bullous Disease"]),
        (["Warts, Molluscum"], ["Warts, Molluscum"]),
        (["[AB]*,first:1"], ["Acne Photos", "Bullous Disease"]),
    ],
)
def test_classes_are_found_by_name_pattern_and_number(wanted: list[str], found: list[str]) -> None:
    assert subset.select(CLASSES, wanted) == tuple(found)


def test_names_as_downloaded_find_renamed_classes() -> None:
    assert subset.select(("Acne", "healthy_skins"), ["Acne Photos"]) == ("Acne",)


@pytest.mark.parametrize(
    ("wanted", "message", "hint"),
    [
        ("Exzema Photos", "There is no class Exzema Photos.", "Did you mean 'Eczema Photos'?"),
        ("zz*", "There is no class zz*.", f"The classes are {', '.join(CLASSES)}."),
        ("first:6", "first:6: the dataset has 5 classes.", "Ask for first:1 to first:5."),
        ("first:0", "first:0: the dataset has 5 classes.", "Ask for first:1 to first:5."),
        (" , ", "No class is given.", "For instance --classes first:3,healthy_skins"),
    ],
)
def test_what_finds_no_class_is_an_error(wanted: str, message: str, hint: str) -> None:
    with fails(InvalidInput, message, hint):
        subset.select(CLASSES, [wanted])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A dataset of three classes, and files that are no images."""
    root = dataset(tmp_path / "source", {"a": 7, "b": 4, "c": 2})
    put(root / "a" / "notes.txt", "mine")
    put(root / "c" / "notes.txt", "mine")
    return root


def test_a_subset_has_the_images_of_its_classes_and_the_source_stays(source: Path, tmp_path: Path) -> None:
    before = tree(source)
    for path in source.rglob("*.png"):
        os.utime(path, ns=(1, 1_500_000_000_123_456_789))
    selection = subset.plan(source, ["a", "b"])
    selection.copies.make(tmp_path / "target")
    assert tree(tmp_path / "target") == {p: c for p, c in before.items() if p[0] in "ab" and "notes" not in p}
    assert (selection.counts, selection.left_out) == ({"a": 7, "b": 4}, 1)
    assert tree(source) == before
    times = {path.stat().st_mtime_ns for path in (tmp_path / "target").rglob("*.png")}
    assert times == {1_500_000_000_123_456_789}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_some_images_of_each_class_are_taken_from_all_over_it(source: Path) -> None:
    selection = subset.plan(source, ["a", "b"], images=3)
    assert [str(file.source) for file in selection.copies.files] == [
        *("a/0.png", "a/2.png", "a/4.png"),
        *("b/0.png", "b/1.png", "b/2.png"),
    ]
    assert subset.plan(source, ["b"], images=9).counts == {"b": 4}


def test_a_subset_of_a_split_dataset_keeps_the_splits(tmp_path: Path) -> None:
    root = dataset(tmp_path / "source", {"train/a": 3, "val/a": 2, "train/b": 1})
    subset.plan(root, ["a"], images=2).copies.make(tmp_path / "target")
    assert sorted(tree(tmp_path / "target")) == [
        "train/a/0.png",
        "train/a/1.png",
        "val/a/0.png",
        "val/a/1.png",
    ]


def test_a_class_without_images_is_refused(tmp_path: Path) -> None:
    with fails(InvalidInput, "The class b has no images."):
        subset.plan(dataset(tmp_path / "source", {"a": 1, "b": 0}), ["a", "b"])


def test_a_link_that_leads_nowhere_is_named_before_anything_is_made(source: Path) -> None:
    (source / "b" / "9.png").symlink_to("gone.png")
    with fails(InvalidInput, f"{source / 'b' / '9.png'} cannot be read: No such file or directory."):
        subset.plan(source, ["b"])


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_target_that_exists_is_left_alone(source: Path, tmp_path: Path, is_empty: bool) -> None:
    (tmp_path / "target").mkdir()
    if not is_empty:
        put(tmp_path / "target" / "mine.txt", "mine")
    before = tree(tmp_path / "target")
    with fails(InvalidInput, f"{tmp_path / 'target'} exists already."):
        subset.plan(source, ["a"]).copies.make(tmp_path / "target")
    assert tree(tmp_path / "target") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_a_target_that_appears_while_it_is_made_is_not_replaced(source: Path, tmp_path: Path) -> None:
    copies = subset.plan(source, ["b"]).copies

    def intrude(_step: str, done: int, total: int) -> None:
        if done == total:
            (tmp_path / "target").mkdir()

    with fails(InvalidInput, f"{tmp_path / 'target'} exists already."):
        copies.make(tmp_path / "target", intrude)
    assert tree(tmp_path / "target") == {}


def test_a_target_inside_of_its_source_is_refused(source: Path) -> None:
    with fails(InvalidInput, f"{source / 'sub'} would lie inside of {source}."):
        subset.plan(source, ["a"]).copies.make(source / "sub")
    assert not (source / "sub").exists()


def test_a_full_disk_is_found_before_anything_is_made(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = subset.plan(source, ["a"]).copies
    usage = SimpleNamespace(free=copies.bytes - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    hint = "Free some space, or share it with the source: --link reflink or --link hard"
    message = f"The copy takes {copying.size(copies.bytes)} more, and {tmp_path} has"
    with pytest.raises(InvalidInput, match=message) as caught:
        copies.make(tmp_path / "target")
    assert caught.value.hint == hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
    subset.plan(source, ["a"], link="hard").copies.make(tmp_path / "target")


def test_hard_links_are_the_same_files(source: Path, tmp_path: Path) -> None:
    subset.plan(source, ["b"], link="hard").copies.make(tmp_path / "target")
    assert (tmp_path / "target" / "b" / "0.png").samefile(source / "b" / "0.png")


def test_a_hard_link_to_a_link_is_one_to_its_file(source: Path, tmp_path: Path) -> None:
    (source / "b" / "9.png").symlink_to("../a/0.png")
    subset.plan(source, ["b"], link="hard").copies.make(tmp_path / "target")
    assert not (tmp_path / "target" / "b" / "9.png").is_symlink()
    assert (tmp_path / "target" / "b" / "9.png").samefile(source / "a" / "0.png")


@pytest.mark.parametrize("link", ["hard", "reflink"])
def test_where_files_cannot_be_shared_it_says_so_and_leaves_nothing(
    source: Path, tmp_path: Path, link: Link
) -> None:
    here = tmp_path.stat().st_dev
    other = next(path for path in map(Path, ("/dev/shm", "/var/tmp", "/run")) if path.stat().st_dev != here)
    target = other / f"trainer-test-{os.getpid()}"
    copies = subset.plan(source, ["b"], link=link).copies
    with pytest.raises(InvalidInput, match="There can be no") as caught:
        copies.make(target)
    assert caught.value.hint.startswith("Leave --link away, for copies.")
    assert not target.exists()
    assert not building.workplace(target).exists()


def test_a_killed_copy_leaves_no_half_file_and_is_finished_by_the_same_plan(
    source: Path, tmp_path: Path
) -> None:
    template = tmp_path / "template"
    shutil.copytree(source, template / "source")
    # A file bigger than what one write takes.
    put(template / "source" / "a" / "big.bmp", os.urandom(3_000_000))
    original = tree(template / "source")
    expected = {path: content for path, content in original.items() if path[0] == "a" and "notes" not in path}
    call = "subset.plan(root / 'source', ['a']).copies.make(root / 'target')"
    went_on = 0
    for root in hit_everywhere(call, template, tmp_path / "copies", most=80):
        assert tree(root / "source") == original
        if (root / "target").exists():
            assert tree(root / "target") == expected
        half_done = building.workplace(root / "target") / "files"
        if half_done.exists():
            for path, content in tree(half_done).items():
                assert content == original[path]
            went_on += 1
        with contextlib.suppress(InvalidInput) if (root / "target").exists() else contextlib.nullcontext():
            subset.plan(root / "source", ["a"]).copies.make(root / "target")
        assert tree(root / "target") == expected
        assert not list(root.glob(".*/*"))
    assert went_on > 10


def test_what_another_plan_left_unfinished_is_not_mixed_in(source: Path, tmp_path: Path) -> None:
    template = tmp_path / "template"
    shutil.copytree(source, template / "source")
    call = "subset.plan(root / 'source', ['a']).copies.make(root / 'target')"
    roots = hit_everywhere(call, template, tmp_path / "copies", most=15)
    root = next(root for root in roots if tree(building.workplace(root / "target") / "files"))
    path = building.workplace(root / "target")
    message = f"{path} was left by another command for target that was interrupted."
    with fails(
        InvalidInput, message, f"Run that command again to finish it, or delete what it made: rm -r {path}"
    ):
        subset.plan(root / "source", ["b"]).copies.make(root / "target")
    os.utime(root / "source" / "a" / "0.png", ns=(1, 1))  # the source is not what it was
    with fails(InvalidInput, message):
        subset.plan(root / "source", ["a"]).copies.make(root / "target")


def test_two_that_make_the_same_are_refused(source: Path, tmp_path: Path) -> None:
    copies = subset.plan(source, ["b"]).copies

    def second(*_: object) -> None:
        with fails(InvalidInput, f"Another trainer process is creating {tmp_path / 'target'}."):
            copies.make(tmp_path / "target")

    copies.make(tmp_path / "target", second)
    assert len(tree(tmp_path / "target")) == 4


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_440_000, "1.4 MB"), (3 * 10**15, "3000.0 TB")],
)
def test_sizes_are_reported_in_units(count: int, text: str) -> None:
    assert copying.size(count) == text
