"""`trainer data import`: a download becomes a dataset, and what was changed or left out is said."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer.workspace.settings import Workspace

from unit.datasets.pictures import dataset, tree
from unit.helpers import Result, put

Trainer = Callable[..., Result]


@pytest.fixture
def download(tmp_path: Path) -> Path:
    """Folders as downloaded: one too deep, with names to clean, and with files of a file manager."""
    root = tmp_path / "Downloads"
    dataset(root / "dermnet" / "all", {"Acne and Rosacea Photos": 3, "Eczema Photos": 2, "healthy": 1})
    put(root / "dermnet" / "all" / "Eczema Photos" / "Thumbs.db", "x")
    put(root / "dermnet" / "all" / ".DS_Store", "x")
    put(root / "dermnet" / "read me.txt", "x")
    return root


def packed(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
        archive.writestr("__MACOSX/dermnet/._all", "x")
    return target


def test_a_folder_as_downloaded(trainer: Trainer, workspace: Workspace, download: Path) -> None:
    before = tree(download)
    dry = trainer("data", "import", str(download), "--as", "data_3", "--dry-run")
    assert (dry.code, (workspace.data / "data_3").exists()) == (0, False)
    assert dry.out.splitlines()[-1] == f"Would make {workspace.data / 'data_3'}: 6 images in 3 classes"
    done = trainer("data", "import", str(download), "--as", "data_3")
    assert (done.code, done.err) == (0, ""), done.err
    assert done.out.splitlines()[:6] == [
        "IMAGES  CLASS",
        "     3  Acne_and_Rosacea",
        "          was Acne and Rosacea Photos",
        "     2  Eczema",
        "          was Eczema Photos",
        "     1  healthy",
    ]
    assert done.out.splitlines()[6:10] == [
        "The classes are in the folder dermnet/all of it.",
        "Files that are not images, and left out: 2 (dermnet/all/Eczema Photos/Thumbs.db, "
        "dermnet/read me.txt)",
        f"Made {workspace.data / 'data_3'}: 6 images in 3 classes",
        "Next: trainer data validate data_3",
    ]
    names = {path.parent.name: 0 for path in (workspace.data / "data_3").rglob("*.png")}
    assert sorted(names) == ["Acne_and_Rosacea", "Eczema", "healthy"]
    assert len(tree(workspace.data / "data_3")) == 6
    assert tree(download) == before
    again = trainer("data", "import", str(download), "--as", "data_3")
    assert (again.code, again.err.splitlines()[0]) == (
        2, f"Error: {workspace.data / 'data_3'} exists already."
    )  # fmt: skip


def test_an_archive(trainer: Trainer, workspace: Workspace, download: Path, tmp_path: Path) -> None:
    archive = packed(download, tmp_path / "all.zip")
    done = trainer("data", "import", str(archive), "--as", "data_3", "--json")
    assert done.code == 0, done.err
    payload = json.loads(done.out)
    assert payload["classes"]["Eczema"] == {"was": "Eczema Photos", "images": 2}
    assert (payload["inner_folder"], payload["images"]) == ("dermnet/all", 6)
    assert len(tree(workspace.data / "data_3")) == 6
    assert [path.rpartition("/")[2] for path in payload["left_out"]] == ["Thumbs.db", "read me.txt"]
    assert not list(workspace.state.glob("download-*"))
    assert trainer("data", "validate", "data_3", "--min-images", "1").code == 0


def test_a_name_that_is_taken_is_refused_before_anything_is_unpacked(
    trainer: Trainer, workspace: Workspace, download: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(download, tmp_path / "all.zip")
    put(workspace.data / "data_3" / "a" / "1.jpg", "mine")
    monkeypatch.setattr(zipfile.ZipFile, "extract", lambda *_: pytest.fail("unpacked"))
    done = trainer("data", "import", str(archive), "--as", "data_3")
    assert (done.code, done.err.splitlines()[0]) == (
        2, f"Error: {workspace.data / 'data_3'} exists already."
    )  # fmt: skip
    assert tree(workspace.data / "data_3")


@pytest.mark.usefixtures("workspace")
def test_what_is_in_folders_beside_the_splits_is_said_to_be_left_out(
    trainer: Trainer, tmp_path: Path
) -> None:
    for split in ("train", "val"):
        dataset(tmp_path / "old" / split, {"a": 2, "b": 2})
    dataset(tmp_path / "old" / "extra", {"c": 1})
    payload = json.loads(trainer("data", "import", str(tmp_path / "old"), "--as", "new", "--json").out)
    assert [path.partition("/")[0] for path in payload["left_out"]] == ["extra"]


CUSTOMERS = "\ufeffid;age;city\r\n1;30;Bonn\r\n2;;Köln\r\n3;50;\r\n"


@pytest.mark.parametrize("packing", ["file", "archive", "folder"])
@pytest.mark.parametrize("name", ["customers", "customers.csv"])
def test_a_table(trainer: Trainer, workspace: Workspace, tmp_path: Path, packing: str, name: str) -> None:
    source = put(tmp_path / "old" / "inner" / "all of them.csv", CUSTOMERS)
    put(tmp_path / "old" / "read me.txt")
    goal = workspace.data / "customers.csv"
    if packing == "archive":
        source = packed(tmp_path / "old", tmp_path / "all.zip")
    elif packing == "folder":
        source = tmp_path / "old"
    dry = trainer("data", "import", str(source), "--as", name, "--dry-run")
    assert (dry.code, goal.exists()) == (0, False)
    done = trainer("data", "import", str(source), "--as", name)
    assert (done.code, done.err) == (0, "")
    assert goal.read_bytes() == CUSTOMERS.encode()
    said = done.out.splitlines()
    assert [line.split()[0] for line in said[:4]] == ["COLUMN", "id", "age", "city"]
    assert f"Made {goal}: 3 rows, 3 columns, 44 B" in said
    assert said[-3:] == [
        "Next: trainer data validate customers.csv",
        "      trainer new my_sklearn --template sklearn",
        "      trainer run my_sklearn --data customers.csv --target COLUMN",
    ]
    assert ("Files that are not CSV files, and left out: 1 (read me.txt)" in said) is (packing != "file")
    put(goal, "mine")
    again = trainer("data", "import", str(source), "--as", name)
    assert (again.code, again.err.splitlines()[0]) == (2, f"Error: {goal} exists already.")
    assert goal.read_text() == "mine"
    assert [path.name for path in workspace.data.iterdir() if path.name.startswith(".")] == []


def test_a_table_that_was_cut_off_is_copied_again(
    trainer: Trainer, workspace: Workspace, tmp_path: Path
) -> None:
    source = put(tmp_path / "all.csv", CUSTOMERS)
    put(workspace.data / ".customers.csv.unfinished", "id;a")
    assert trainer("data", "import", str(source), "--as", "customers.csv").code == 0
    assert (workspace.data / "customers.csv").read_bytes() == CUSTOMERS.encode()
    put(workspace.data / ".demo.csv.unfinished", "id;a")
    assert trainer("data", "sample", "--table", "demo", "--rows", "10").code == 0
    assert sorted(path.name for path in workspace.data.iterdir()) == ["customers.csv", "demo.csv"]


def test_some_tables_become_a_folder(trainer: Trainer, workspace: Workspace, tmp_path: Path) -> None:
    for name in ("train.csv", "test.csv"):
        put(tmp_path / "old" / name, CUSTOMERS)
    payload = json.loads(trainer("data", "import", str(tmp_path / "old"), "--as", "two", "--json").out)
    assert (payload["kind"], payload["rows"], payload["columns"]) == ("table", 6, ["id", "age", "city"])
    assert sorted(path.name for path in (workspace.data / "two").iterdir()) == ["test.csv", "train.csv"]


def test_splits_are_kept(trainer: Trainer, workspace: Workspace, tmp_path: Path) -> None:
    for split in ("train", "val"):
        dataset(tmp_path / "old" / split, {"a b": 2, "c": 2})
    assert trainer("data", "import", str(tmp_path / "old"), "--as", "new").code == 0
    folders = {
        path.parent.relative_to(workspace.data / "new") for path in (workspace.data / "new").rglob("*.*")
    }
    assert folders >= {Path("train/a_b"), Path("train/c"), Path("val/a_b"), Path("val/c")}


def test_what_cannot_be_imported(
    trainer: Trainer, workspace: Workspace, download: Path, tmp_path: Path
) -> None:
    damaged = packed(download, tmp_path / "damaged.zip")
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 3] + bytes(200) + content[len(content) // 3 + 200 :])
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    put(tmp_path / "notes.txt", "x")
    put(tmp_path / "nothing.csv", "")
    put(tmp_path / "header.csv", "a,b\n\n")
    packed(download, tmp_path / "book.xlsx")
    (tmp_path / "empty").mkdir()
    put(tmp_path / "texts" / "a" / "1.txt", "x")
    packed(tmp_path / "texts", tmp_path / "texts.zip")
    twice = tmp_path / "twice"
    dataset(twice, {"Eczema": 1, "Eczema Photos": 1})
    for source, message in (
        ("nowhere", f"There is no {tmp_path}/nowhere."),
        ("notes.txt", f"{tmp_path}/notes.txt is not a ZIP archive."),
        ("nothing.csv", "nothing.csv is empty."),
        ("header.csv", "header.csv has no rows below its header."),
        ("book.xlsx", f"{tmp_path}/book.xlsx is a spreadsheet."),
        ("cut.zip", f"{tmp_path}/cut.zip is a ZIP archive that was cut off: its end is missing."),
        ("damaged.zip", f"{tmp_path}/damaged.zip cannot be unpacked: "),
        ("empty", f"{tmp_path}/empty has no folders of images."),
        ("texts.zip", "The download has no images."),
        ("twice", "The classes Eczema and Eczema Photos would both be Eczema."),
    ):
        done = trainer("data", "import", str(tmp_path / source), "--as", "new")
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 2), done.err
        assert done.err.startswith(f"Error: {message}")
        assert ("rename it to notes.csv" in done.err) == (source == "notes.txt")
        assert not (workspace.data / "new").exists()
        assert not list(workspace.state.glob("download-*"))
