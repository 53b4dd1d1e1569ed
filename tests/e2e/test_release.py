"""make release: what it builds is checked, and says the version of the tag."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clean clone with what is here, and no tags."""
    folder = tmp_path_factory.mktemp("release") / "trainer"
    subprocess.run(["git", "clone", "--quiet", "--no-tags", REPOSITORY, folder], check=True)
    for name in ("pyproject.toml", "Makefile"):
        shutil.copyfile(REPOSITORY / name, folder / name)
    subprocess.run(
        [*GIT, "commit", "--quiet", "--allow-empty", "--all", "--message=now"], cwd=folder, check=True
    )
    yield folder
    shutil.rmtree(folder)


def built(folder: Path) -> list[str]:
    """The names of what is built there, without a network: the tests' environment has all it takes."""
    shutil.rmtree(folder / "dist", ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(path.name for path in (folder / "dist").iterdir())


def test_the_version_is_the_latest_tags(clone: Path) -> None:
    assert [name for name in built(clone) if not name.startswith("trainer-0.1.0.dev")] == []
    subprocess.run([*GIT, "tag", "--annotate", "v1.2.3", "--message=v1.2.3"], cwd=clone, check=True)
    assert built(clone) == ["trainer-1.2.3-py3-none-any.whl", "trainer-1.2.3.tar.gz"]
    wheel = zipfile.ZipFile(clone / "dist" / "trainer-1.2.3-py3-none-any.whl")
    shipped = {"trainer/_shipped/trainer_images/Dockerfile", "trainer/_shipped/trainer_images/layer.sh"}
    assert shipped <= set(wheel.namelist())
    subprocess.run(["tar", "-xzf", clone / "dist" / "trainer-1.2.3.tar.gz", "-C", clone.parent], check=True)
    unpacked = clone.parent / "trainer-1.2.3"
    assert (unpacked / "Makefile").exists()
    assert built(unpacked) == ["trainer-1.2.3-py3-none-any.whl", "trainer-1.2.3.tar.gz"]


def test_without_git_it_is_the_fallback(clone: Path) -> None:
    files = clone.parent / "files"
    shutil.copytree(clone, files, ignore=shutil.ignore_patterns(".git", "dist"))
    assert built(files) == ["trainer-0.1.0.dev0-py3-none-any.whl", "trainer-0.1.0.dev0.tar.gz"]
