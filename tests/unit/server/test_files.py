"""What travels to a platform, and how it is told from what travelled before."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support import REPOSITORY
from trainer.errors import InvalidInput
from trainer.server import files
from trainer.server.files import Bundle
from trainer.workspace.settings import Workspace, find

from unit.deploy.helpers import FILES, make_server_folder
from unit.helpers import fails, git, put


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """A workspace in git, with a server's folder."""
    put(tmp_path / "site" / "trainer.yaml")
    put(tmp_path / "site" / ".gitignore", "secrets.env\n__pycache__/\n*.local\n")
    make_server_folder(tmp_path / "site")
    git(tmp_path / "site", "init", "--quiet")
    return find(tmp_path / "site")


def names(packed: Bundle) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed.archive)) as tar:
        return tar.getnames()


def test_the_files_lie_at_the_top_and_what_git_ignores_stays_here(place: Workspace) -> None:
    folder = place.root / "mlflow_tracking_server"
    for name in ("my.local", "secrets.env", "mlflow_server/__pycache__/x.pyc"):
        put(folder / name, "mine")
    packed = files.pack(place, "heroku.yml")
    assert names(packed) == sorted(FILES)
    assert [path.as_posix() for path in packed.files] == sorted(FILES)


def test_the_same_files_have_the_same_version_wherever_and_whosever_they_are(
    place: Workspace, tmp_path: Path
) -> None:
    shutil.copytree(place.root, tmp_path / "elsewhere", ignore=shutil.ignore_patterns(".git"))
    for path in (tmp_path / "elsewhere").rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(path.stat().st_mode & 0o700)
    other = files.pack(find(tmp_path / "elsewhere"))
    ours = files.pack(place)
    assert (other.version, other.archive) == (ours.version, ours.archive)
    assert ours.version.startswith("trainer-")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: put(folder / "Dockerfile", "FROM debian\n"),
        lambda folder: put(folder / "new", ""),
        lambda folder: (folder / "heroku.yml").rename(folder / "heroku.yaml"),
        lambda folder: (folder / "mlflow_server" / "__main__.py").chmod(0o755),
    ],
    ids=["content", "a new file", "a name", "a program"],
)
def test_any_change_makes_another_version(place: Workspace, change: Callable[[Path], object]) -> None:
    before = files.pack(place).version
    change(place.root / "mlflow_tracking_server")
    assert files.pack(place).version != before


def test_a_workspace_without_the_folder_has_the_server_that_trainer_brings(place: Workspace) -> None:
    shutil.rmtree(place.root / "mlflow_tracking_server")
    assert files.pack(place) == files.pack(find(REPOSITORY))


def test_a_folder_without_its_dockerfile_is_not_taken_for_ours(place: Workspace) -> None:
    dockerfile = place.root / "mlflow_tracking_server" / "Dockerfile"
    dockerfile.unlink()
    with fails(
        InvalidInput,
        f"{dockerfile} is not there.",
        "Put it back, or remove mlflow_tracking_server/ to have the server that trainer brings.",
    ):
        files.pack(place)
