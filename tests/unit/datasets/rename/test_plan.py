import os
from pathlib import Path, PurePosixPath

import pytest
from trainer.datasets.rename import plan
from trainer.datasets.rename.plan import Part, Rename
from trainer.errors import InvalidInput

from unit.datasets.pictures import dataset
from unit.helpers import fails, put

HERE = PurePosixPath(".")


def planned(classes: str, mapping: dict[str, str] | None = None, others: str = "") -> dict[str, str]:
    part = Part(HERE, tuple(sorted(classes.split("|"))), tuple(filter(None, others.split("|"))))
    return {str(r.old): str(r.new) for r in plan.plan((part,), mapping or {}).renames}


def test_only_classes_whose_name_changes_are_renamed() -> None:
    assert planned("Eczema Photos|healthy_skins") == {"Eczema Photos": "Eczema"}


def test_the_mapping_wins_over_the_rule() -> None:
    names = {"Eczema Photos": "Ekzem", "Acne": "Acne Photos"}
    assert planned("Eczema Photos|Acne|Warts Photos", names) == {**names, "Warts Photos": "Warts"}


def test_a_class_is_renamed_in_every_split_that_has_it(tmp_path: Path) -> None:
    root = dataset(tmp_path, {"train/Acne Photos": 1, "train/ok": 1, "val/Acne Photos": 1, "test/ok": 0})
    result = plan.parts(root)
    assert [str(part.path) for part in result] == ["test", "train", "val"]
    assert plan.plan(result, {}).renames == (
        Rename(PurePosixPath("train/Acne Photos"), PurePosixPath("train/Acne")),
        Rename(PurePosixPath("val/Acne Photos"), PurePosixPath("val/Acne")),
    )


def test_what_lies_beside_the_classes_is_seen_hidden_or_not(tmp_path: Path) -> None:
    dataset(tmp_path, {"a": 1, "b": 0})
    put(tmp_path / "readme.txt")
    put(tmp_path / ".hidden" / "x")
    assert plan.parts(tmp_path) == (Part(HERE, ("a", "b"), (".hidden", "readme.txt")),)


@pytest.mark.parametrize(
    ("classes", "mapping", "others", "message"),
    [
        ("Eczema Photos|Eczema", {}, "", "Eczema and Eczema Photos would have one name: Eczema"),
        (
            "A Photos|B",
            {"B": "a"},
            "",
            "A Photos and B would have one name: A, a (the same where case does not count)",
        ),
        ("A Photos", {}, "A", "A Photos cannot become A: A is there already."),
        ("A Photos", {}, "a", "A Photos cannot become A: a is there already."),
        ("A", {"A": "B"}, "b", "A cannot become B: b is there already."),
        ("Photos", {}, "", "Nothing would be left of the name 'Photos'."),
        ("A", {"A": "x/y"}, "", "'A' cannot be renamed to 'x/y': it would lie in another folder."),
        ("A", {"A": "x\\y"}, "", "'A' cannot be renamed to 'x\\\\y': it would lie in another folder."),
        ("A", {"A": ".."}, "", "'A' cannot be renamed to '..': it would be hidden."),
        ("A", {"A": ".a"}, "", "'A' cannot be renamed to '.a': it would be hidden."),
        (
            "A",
            {"A": "a\nb"},
            "",
            "'A' cannot be renamed to 'a\\nb': it has blanks at an end, or characters that do not show.",
        ),
        ("A", {"A": ""}, "", "Nothing would be left of the name 'A'."),
        ("A", {"A": "ä" * 128}, "", f"'A' cannot be renamed to '{'ä' * 128}': it is longer than 255 bytes."),
        (
            "A",
            {},
            ".trainer-renaming-0",
            ".trainer-renaming-0 is left of a renaming whose journal is gone.",
        ),
    ],
)
def test_what_is_in_the_way_is_reported_before_anything_is_done(
    classes: str, mapping: dict[str, str], others: str, message: str
) -> None:
    with fails(InvalidInput, message):
        planned(classes, mapping, others)


def test_a_collision_in_one_split_names_the_split() -> None:
    parts = (Part(PurePosixPath("train"), ("A Photos",)), Part(PurePosixPath("test"), ("A", "A Photos")))
    with fails(InvalidInput, "A and A Photos in test would have one name: A"):
        plan.plan(parts, {})


@pytest.mark.parametrize(
    ("name", "hint"),
    [("Ezcema Photos", "Did you mean 'Eczema Photos'?"), ("Eczema", "Did you mean 'Eczema Photos'?"),
     ("zzz", "The classes are Acne, Eczema Photos.")],
)  # fmt: skip
def test_an_unknown_name_in_the_mapping_suggests_the_nearest(name: str, hint: str) -> None:
    with fails(InvalidInput, f"The mapping names a class that is not there: {name}", hint):
        planned("Acne|Eczema Photos", {name: "X"})


def test_a_pair_of_the_mapping_that_was_done_earlier_is_no_error_but_is_reported() -> None:
    part = (Part(HERE, ("Acne", "My Photos")),)
    names = {"Eczema Photos": "My Photos"}
    assert plan.plan(part, names) == plan.Plan((), names)  # and the rule keeps off the new name


@pytest.mark.parametrize("names", [{"a": "b", "b": "a"}, {"a": "b", "b": "c"}])
def test_a_mapping_that_was_done_is_not_done_a_second_time(names: dict[str, str]) -> None:
    last = tuple(Rename(PurePosixPath(old), PurePosixPath(new)) for old, new in names.items())
    part = (Part(HERE, tuple(sorted(names.values()))),)
    assert plan.plan(part, names, last) == plan.Plan((), names)


def test_a_class_that_came_back_under_its_old_name_is_renamed_again() -> None:
    last = (Rename(PurePosixPath("Eczema Photos"), PurePosixPath("Ekzem")),)
    part = (Part(HERE, ("Acne", "Eczema Photos")),)
    names = {"Eczema Photos": "Ekzem"}
    assert plan.plan(part, names, last).renames == last
    with fails(InvalidInput, "Eczema Photos and Ekzem would have one name: Ekzem"):
        plan.plan((Part(HERE, ("Eczema Photos", "Ekzem")),), names, last)


@pytest.mark.parametrize(
    "names",
    [
        {"a": "b", "b": "a"},
        {"a": "b", "b": "c", "c": "a"},
        {"a": "b", "b": "c", "c": "d"},
        {"a": "A"},
        {"a": "B", "b": "A", "c": "d"},
    ],
)
def test_swaps_cycles_chains_and_changes_of_case_have_an_order_that_works(
    tmp_path: Path, names: dict[str, str]
) -> None:
    for name in names:
        put(tmp_path / name / "was", name)
    part = Part(HERE, tuple(sorted(names)))
    steps = plan.steps(plan.plan((part,), names).renames)
    for step in (*steps.away, *steps.home):
        assert not os.path.lexists(tmp_path / step.new)
        (tmp_path / step.old).rename(tmp_path / step.new)
    assert {p.name: (p / "was").read_text() for p in tmp_path.iterdir()} == {b: a for a, b in names.items()}


def test_names_that_are_in_nobodys_way_need_no_temporary_ones() -> None:
    part = Part(HERE, ("A Photos", "B Photos", "c"))
    assert plan.steps(plan.plan((part,), {}).renames).away == ()
