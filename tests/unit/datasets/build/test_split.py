from collections import Counter
from pathlib import Path

import pytest
from trainer.datasets.build import split
from trainer.errors import InvalidInput
from trainkit.data.image_folder import TEST, TRAIN, VALIDATION
from trainkit.errors import InputError

from unit.datasets.pictures import dataset, hit_everywhere, tree
from unit.helpers import fails

SHARES = {TRAIN: 0.7, VALIDATION: 0.15, TEST: 0.15}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A dataset of two classes, one twice as large."""
    return dataset(tmp_path / "source", {"a": 20, "b b": 40})


def test_each_class_is_cut_by_the_shares_and_no_image_is_lost(source: Path, tmp_path: Path) -> None:
    split.plan(source, SHARES, seed=0).copies.make(tmp_path / "target")
    result = tree(tmp_path / "target")
    assert {path.split("/", 1)[1]: content for path, content in result.items()} == tree(source)
    assert Counter(path.rsplit("/", 1)[0] for path in result) == {
        "train/a": 14,
        "validation/a": 3,
        "test/a": 3,
        "train/b b": 28,
        "validation/b b": 6,
        "test/b b": 6,
    }


def test_copies_of_an_image_stay_on_one_side(source: Path, tmp_path: Path) -> None:
    for number in range(10):
        (source / "a" / f"copy{number}.png").write_bytes((source / "a" / "0.png").read_bytes())
    (source / "b b" / "copy.png").write_bytes((source / "a" / "0.png").read_bytes())
    split.plan(source, SHARES, seed=0).copies.make(tmp_path / "target")
    copies = [path for path in tree(tmp_path / "target") if "copy" in path or path.endswith("a/0.png")]
    assert len(copies) == 12
    assert len({path.split("/")[0] for path in copies}) == 1


def test_a_seed_gives_the_same_split_and_another_one_another(source: Path) -> None:
    first, again, other = (split.plan(source, SHARES, seed).copies.files for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_share_of_nothing_makes_no_folder(source: Path, tmp_path: Path) -> None:
    split.plan(source, {TRAIN: 0.5, VALIDATION: 0.5, TEST: 0}, seed=0).copies.make(tmp_path / "target")
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == ["train", "validation"]


def test_what_is_split_already_is_refused(tmp_path: Path) -> None:
    root = dataset(tmp_path / "source", {"train/a": 1, "val/a": 1})
    with fails(InvalidInput, f"{root} is split already."):
        split.plan(root, SHARES, seed=0)


def test_shares_that_cannot_be_are_refused(source: Path) -> None:
    with pytest.raises(InputError, match=r"do not add up to 1"):
        split.plan(source, {TRAIN: 0.7, VALIDATION: 0.7, TEST: 0}, seed=0)
    with fails(InvalidInput, "A share is not a number."):
        split.plan(source, {TRAIN: float("nan"), VALIDATION: 0.5, TEST: 0.5}, seed=0)


def test_a_class_with_too_few_images_is_refused(tmp_path: Path) -> None:
    root = dataset(tmp_path / "source", {"a": 5, "b": 2})
    with pytest.raises(InputError, match="The class b has 2 different images: too few"):
        split.plan(root, SHARES, seed=0)


def test_a_killed_split_is_finished_by_the_same_one(tmp_path: Path) -> None:
    template = dataset(tmp_path / "template" / "source", {"a": 4, "b": 4}).parent
    call = f"split.plan(root / 'source', {SHARES!r}, 0).copies.make(root / 'target')"
    split.plan(template / "source", SHARES, 0).copies.make(tmp_path / "expected")
    for root in hit_everywhere(call, template, tmp_path / "copies", most=40):
        if not (root / "target").exists():
            split.plan(root / "source", SHARES, 0).copies.make(root / "target")
        assert tree(root / "target") == tree(tmp_path / "expected")
        assert tree(root / "source") == tree(template / "source")
