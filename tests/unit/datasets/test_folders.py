from pathlib import Path

import pytest
from trainer.datasets import folders
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace

from unit.helpers import fails, put


def test_a_name_is_that_of_a_dataset_and_a_path_is_a_path(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(workspace.data / "skins" / "a" / "1.png")
    put(tmp_path / "other" / "a" / "1.png")
    assert folders.existing("skins") == workspace.data / "skins"
    assert folders.existing(str(tmp_path / "other")) == tmp_path / "other"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINER_WORKSPACE", "")
    assert folders.existing("other") == Path("other")  # outside of a workspace too


def test_an_unknown_name_suggests_the_nearest_one(workspace: Workspace) -> None:
    hint = "Put it there; or make up one to try with: trainer data sample demo"
    with fails(InvalidInput, f"There is no dataset skin in {workspace.data} or here.", hint):
        folders.existing("skin")
    (workspace.data / "skins").mkdir(parents=True)
    with fails(InvalidInput, f"There is no dataset skin in {workspace.data} or here.", "Did you mean skins?"):
        folders.existing("skin")


def test_a_file_and_a_missing_folder_are_reported(workspace: Workspace) -> None:
    put(workspace.root / "archive.zip")
    with fails(InvalidInput, "archive.zip is a file, not a folder."):
        folders.existing("archive.zip")
    with fails(InvalidInput, "There is no folder no/such."):
        folders.existing("no/such")


def test_a_new_dataset_goes_to_data_or_where_its_path_says(workspace: Workspace, tmp_path: Path) -> None:
    assert folders.new("demo") == workspace.data / "demo"
    assert folders.new("some/demo") == workspace.root / "some" / "demo"
    assert folders.new(str(tmp_path / "demo")) == tmp_path / "demo"
    assert not workspace.data.exists()


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/.hidden", "a/.."])
def test_a_name_that_could_not_be_found_again_is_refused(workspace: Workspace, name: str) -> None:
    assert workspace.root == Path.cwd()
    with fails(InvalidInput, f"{name!r} cannot be a dataset's name."):
        folders.new(name)


def test_a_command_line_names_what_lies_in_data_by_its_name(workspace: Workspace, tmp_path: Path) -> None:
    assert folders.argument(workspace.data / "demo") == "demo"
    assert folders.argument(tmp_path / "demo") == str(tmp_path / "demo")
    assert folders.argument(workspace.data / "parts" / "train.csv") == "parts/train.csv"
    workspace.data.mkdir(exist_ok=True)
    (workspace.data / "linked").symlink_to(tmp_path)
    assert folders.argument(workspace.data / "linked") == "linked"
