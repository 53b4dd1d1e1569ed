import contextlib
import fcntl
import json
import os
import signal
from pathlib import Path

import pytest
from trainer import atomic_files
from trainer.datasets.rename import classes, journal
from trainer.errors import InvalidInput

from unit.datasets.pictures import dataset, hit_everywhere, tree
from unit.helpers import fails, put

# Plain renames, a swap and a chain at once.
MAPPING = {"a": "b", "b": "a", "c": "d", "d": "e", "f": "F"}
CLASSES = {"a": 1, "b": 1, "c": 1, "d": 1, "f": 1, "Eczema Photos": 2, "Warts Photos": 1, "healthy_skins": 1}
NEW = {**MAPPING, "Eczema Photos": "Eczema", "Warts Photos": "Warts"}


def renamed(files: dict[str, bytes]) -> dict[str, bytes]:
    moved = {}
    for path, content in files.items():
        *parts, label, name = path.split("/")
        moved["/".join([*parts, NEW.get(label, label), name])] = content
    return moved


@pytest.fixture(params=["flat", "split"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A dataset, without or with splits."""
    if request.param == "flat":
        return dataset(tmp_path / "set", CLASSES)
    parts = {f"{part}/{name}": count for part in ("train", "val") for name, count in CLASSES.items()}
    return dataset(tmp_path / "set", parts)


def test_renaming_moves_every_image_along_and_undo_brings_all_back(site: Path) -> None:
    before = tree(site)
    outcome = classes.rename_classes(site, MAPPING)
    assert len(outcome.renames) == len(NEW) * (2 if (site / "train").exists() else 1)
    assert tree(site) == renamed(before)
    assert classes.rename_classes(site, {}) == classes.Outcome()
    assert classes.rename_classes(site, MAPPING) == classes.Outcome(already=MAPPING)
    classes.undo(site)
    assert tree(site) == before
    assert not list(site.rglob(".trainer*"))


def test_a_dry_run_and_a_refused_plan_change_nothing_at_all(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", {"A Photos": 1, "B Photos": 1})
    before = sorted(root.rglob("*"))
    assert len(classes.rename_classes(root, {}, dry_run=True).renames) == 2
    with pytest.raises(InvalidInput):
        classes.rename_classes(root, {"A Photos": "B"})
    assert sorted(root.rglob("*")) == before


def test_several_renamings_are_undone_last_first(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", {"A Photos": 1, "B": 1})
    states = [tree(root)]
    for mapping in ({}, {"A": "C"}, {"C": "B", "B": "C"}):
        classes.rename_classes(root, mapping)
        states.append(tree(root))
    for state in reversed(states[:-1]):
        classes.undo(root)
        assert tree(root) == state
    with fails(InvalidInput, f"No renaming of {root} is known that could be undone."):
        classes.undo(root)


def test_undo_works_where_the_dataset_has_been_moved(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", CLASSES)
    before = tree(root)
    classes.rename_classes(root, MAPPING)
    root.rename(tmp_path / "elsewhere")
    classes.undo(tmp_path / "elsewhere")
    assert tree(tmp_path / "elsewhere") == before


def test_undo_that_cannot_be_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", {"A Photos": 1, "B Photos": 1})
    classes.rename_classes(root, {})
    (root / "B Photos").mkdir()
    before = sorted(root.rglob("*"))
    with fails(InvalidInput, f"{root / 'B Photos'} is in the way of undoing."):
        classes.undo(root)
    assert sorted(root.rglob("*")) == before
    (root / "B Photos").rmdir()
    (root / "B").rename(root / "mine")
    with fails(InvalidInput, f"{root / 'B'} is gone; the renaming cannot be undone."):
        classes.undo(root)
    assert (root / "A").exists()


def test_a_killed_renaming_is_finished_by_the_next_call(site: Path, tmp_path: Path) -> None:
    before = tree(site)
    killed = hit_everywhere(f"classes.rename_classes(root, {MAPPING!r})", site, tmp_path / "copies")
    states = set()
    for root in killed:
        # Whatever the moment, every image is there, under some name.
        assert sorted(p.read_bytes() for p in root.rglob("*.png")) == sorted(before.values())
        states.add(frozenset(tree(root)))
        classes.rename_classes(root, MAPPING)
        assert tree(root) == renamed(before), root
        assert not list(root.rglob(".trainer-renaming*"))
    assert len(states) > 5  # some were killed in the middle


def test_a_killed_renaming_can_be_undone(tmp_path: Path) -> None:
    site = dataset(tmp_path / "set", CLASSES)
    before = tree(site)
    for root in hit_everywhere(f"classes.rename_classes(root, {MAPPING!r})", site, tmp_path / "copies"):
        with contextlib.suppress(InvalidInput):  # where it was killed before it began
            classes.undo(root)
        assert tree(root) == before, root


def test_a_killed_undo_is_finished_by_the_next_undo_and_by_no_more(tmp_path: Path) -> None:
    site = dataset(tmp_path / "set", {**CLASSES, "earlier": 1})
    classes.rename_classes(site, {"earlier": "later"})
    middle = tree(site)
    classes.rename_classes(site, MAPPING)
    after = tree(site)
    for root in hit_everywhere("classes.undo(root)", site, tmp_path / "copies"):
        done = len(journal.read(root).done) == 1 and journal.read(root).going is None
        assert not done or tree(root) == middle
        if not done:
            classes.undo(root)
        assert tree(root) == middle, root
        classes.rename_classes(root, MAPPING)
        assert tree(root) == after


def test_ctrl_c_waits_until_the_renames_are_done(tmp_path: Path) -> None:
    site = dataset(tmp_path / "set", CLASSES)
    before = tree(site)
    statement = f"classes.rename_classes(root, {MAPPING!r})"
    for root in hit_everywhere(statement, site, tmp_path / "copies", signal.SIGINT, most=40):
        assert tree(root) in (before, renamed(before))
        assert journal.read(root).going is None


def test_a_dry_run_after_a_kill_tells_what_is_left_and_leaves_it(tmp_path: Path) -> None:
    site = dataset(tmp_path / "set", CLASSES)
    killed = hit_everywhere(f"classes.rename_classes(root, {MAPPING!r})", site, tmp_path / "copies", most=25)
    root = next(root for root in killed if journal.read(root).going)
    before = sorted(root.rglob("*"))
    outcome = classes.rename_classes(root, {}, dry_run=True)
    assert outcome.finished == "renaming of 7 folders"
    assert {str(r.old): str(r.new) for r in outcome.renames} == NEW
    assert sorted(root.rglob("*")) == before


def test_another_users_folder_under_a_new_name_is_never_replaced(tmp_path: Path) -> None:
    site = dataset(tmp_path / "set", {"A Photos": 1, "B Photos": 1})
    killed = hit_everywhere("classes.rename_classes(root, {})", site, tmp_path / "copies", most=25)
    root = next(root for root in killed if not (root / "B").exists() and journal.read(root).going)
    (root / "B").mkdir()  # which os.rename would replace in silence
    with fails(InvalidInput, f"{root / 'B'} was created meanwhile; B Photos was not renamed."):
        classes.rename_classes(root, {})
    assert (root / "B Photos" / "0.png").exists()
    (root / "B").rmdir()
    classes.rename_classes(root, {})
    assert (root / "B" / "0.png").exists()


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", {"A Photos": 1})
    holder = os.open(root, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with fails(InvalidInput, f"Another trainer process is renaming in {root}."):
        classes.rename_classes(root, {})
    os.close(holder)
    classes.rename_classes(root, {})


@pytest.mark.parametrize("old", ["../outside", "/outside"])
def test_a_journal_that_came_with_the_data_reaches_nothing_outside_of_it(tmp_path: Path, old: str) -> None:
    root = dataset(tmp_path / "set", {"A Photos": 1})
    put(tmp_path / "outside" / "mine")
    steps = {"away": [], "home": [[old, "stolen"]]}
    payload = {"going": steps, "back": False, "phase": "away", "done": []}
    put(root / journal.NAME, json.dumps(payload))
    with fails(InvalidInput, f"{root / journal.NAME} is damaged."):
        classes.rename_classes(root, {})
    assert (tmp_path / "outside" / "mine").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"going": null}'])
def test_a_damaged_journal_is_named(tmp_path: Path, text: str) -> None:
    root = dataset(tmp_path / "set", {"A Photos": 1})
    put(root / journal.NAME, text)
    with fails(InvalidInput, f"{root / journal.NAME} is damaged."):
        classes.undo(root)


@pytest.mark.parametrize("by_kernel", [True, False])
def test_an_atomic_rename_replaces_not_even_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_kernel: bool
) -> None:
    if not by_kernel:
        monkeypatch.setattr("sys.platform", "darwin")
    put(tmp_path / "a" / "x")
    (tmp_path / "b").mkdir()
    with pytest.raises(FileExistsError):
        atomic_files.rename(tmp_path / "a", tmp_path / "b")
    with pytest.raises(FileNotFoundError):
        atomic_files.rename(tmp_path / "zzz", tmp_path / "c")
    atomic_files.rename(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c" / "x").exists()
