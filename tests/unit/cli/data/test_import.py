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
    assert [line.split(maxsplit=2) for line in done.out.splitlines()[:4]] == [
        ["CLASS", "IMAGES", "WAS"],
        ["Acne_and_Rosacea", "3", "Acne and Rosacea Photos"],
        ["Eczema", "2", "Eczema Photos"],
        ["healthy", "1"],
    ]
    assert done.out.splitlines()[4:8] == [
        "The classes are in the folder dermnet/all of it.",
        "Files that are not images, and left out: 1 (Eczema Photos/Thumbs.db)",
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
    assert [path.rpartition("/")[2] for path in payload["left_out"]] == ["Thumbs.db"]
    assert not list(workspace.state.glob("download-*"))
    assert trainer("data", "validate", "data_3", "--min-images", "1").code == 0


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
    put(tmp_path / "notes.txt", "x")
    (tmp_path / "empty").mkdir()
    put(tmp_path / "texts" / "a" / "1.txt", "x")
    packed(tmp_path / "texts", tmp_path / "texts.zip")
    twice = tmp_path / "twice"
    dataset(twice, {"Eczema": 1, "Eczema Photos": 1})
    for source, message in (
        ("nowhere", f"There is no {tmp_path}/nowhere."),
        ("notes.txt", f"{tmp_path}/notes.txt is not a ZIP archive."),
        ("damaged.zip", f"{tmp_path}/damaged.zip cannot be unpacked: "),
        ("empty", f"{tmp_path}/empty has no folders of images."),
        ("texts.zip", "The download has no images."),
        ("twice", "The classes Eczema and Eczema Photos would both be Eczema."),
    ):
        done = trainer("data", "import", str(tmp_path / source), "--as", "new")
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 2), done.err
        assert done.err.startswith(f"Error: {message}")
        assert not (workspace.data / "new").exists()
        assert not list(workspace.state.glob("download-*"))
