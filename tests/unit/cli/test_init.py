"""`trainer init`: what it makes, and what it leaves alone."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from support import REPOSITORY
from trainer.cli.main import main
from trainer.scaffold import settings_file
from trainer.workspace import secrets
from trainer.workspace.settings import Settings, find

from unit.helpers import Result, git, put

Init = Callable[..., Result]
MADE = {".gitignore", "data/.gitignore", "data/README.md", "secrets.env.example", "trainer.yaml"}


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Init:
    """`trainer init ARGUMENTS`, called in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["init", *arguments])
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, *capfd.readouterr())

    return call


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_an_empty_name_is_not_this_folder(init: Init, tmp_path: Path) -> None:
    done = init("")
    assert (done.code, list(tmp_path.iterdir())) == (2, [])
    assert done.err.startswith("Error: The name of the folder is empty.\nHint: ")


def test_a_workspace_is_made_that_git_looks_after(init: Init, tmp_path: Path) -> None:
    done = init("new/site")
    root = tmp_path / "new" / "site"
    assert (done.code, done.err) == (0, "")
    assert files(root).keys() == MADE
    assert (root / "train_code").is_dir()
    assert find(root).settings == Settings()
    assert git(root, "rev-parse", "--show-toplevel").strip() == str(root)
    assert done.out.splitlines()[-4:] == [
        f"A workspace: {root}",
        "Next: cd new/site",
        "      trainer new mine --template tensorflow",
        "      trainer run mine",
    ]


def test_no_secret_can_be_committed_from_the_first_moment_on(init: Init, tmp_path: Path) -> None:
    init()
    put(tmp_path / "secrets.env", "TOKEN=x-secret-x\n").chmod(0o600)
    put(tmp_path / "data" / "pictures" / "1.jpg")
    assert secrets.load(find(tmp_path)).values == {"TOKEN": "x-secret-x"}
    git(tmp_path, "add", ".")
    assert set(git(tmp_path, "ls-files").splitlines()) == MADE


def test_each_setting_is_there_with_its_meaning_and_its_default() -> None:
    text = settings_file.text()
    assert yaml.safe_load(text) is None
    names = {field.name for field in fields(Settings)}
    lines = [line[2:] for line in text.splitlines() if line[2:].split(":")[0] in names]
    payload = yaml.safe_load("\n".join(lines))
    assert Settings(**payload) == Settings()
    assert list(payload) == [field.name for field in fields(Settings)]
    for name in payload:
        before, _, _ = text.partition(f"# {name}:")
        assert before.endswith(".\n"), f"{name} has no meaning"


def test_the_repository_has_the_same_file() -> None:
    assert (REPOSITORY / "trainer.yaml").read_text() == settings_file.text(), (
        "rm trainer.yaml && trainer init"
    )


def test_a_second_call_changes_nothing_and_says_what_is_there(init: Init, tmp_path: Path) -> None:
    init()
    put(tmp_path / "trainer.yaml", "server_port: 6000\n")
    put(tmp_path / "train_code" / "mine" / "MLproject", "mine")
    (tmp_path / "data" / "README.md").unlink()
    before = files(tmp_path)
    done = init("--json")
    after = files(tmp_path)
    assert after.pop("data/README.md")
    assert after == {name: content for name, content in before.items() if name != "data/README.md"}
    assert json.loads(done.out) == {
        "path": str(tmp_path), "made": ["data/README.md"], "ignored": [], "git": False, "dry_run": False,
        "there": ["trainer.yaml", ".gitignore", "secrets.env.example", "data/.gitignore"],
    }  # fmt: skip
    assert "trainer.yaml         there already" in init().out


def test_a_gitignore_that_is_there_gets_what_it_lacks(init: Init, tmp_path: Path) -> None:
    put(tmp_path / ".gitignore", "*.log\n/mlruns")
    put(tmp_path / "notes.txt", "mine")
    done = init()
    assert (tmp_path / ".gitignore").read_text() == "*.log\n/mlruns\nsecrets.env\n.trainer/\n"
    assert ".gitignore           there already; added: secrets.env, .trainer/" in done.out
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_repository_around_it_is_respected(init: Init, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert ".git/" not in init("deep/site").out
    assert not (tmp_path / "deep" / "site" / ".git").exists()
    put(tmp_path / "deep" / "site" / "secrets.env")
    subprocess.run(["git", "check-ignore", "-q", "deep/site/secrets.env"], cwd=tmp_path, check=True)


def test_without_git_it_says_what_that_costs(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    done = init()
    assert done.code == 0
    assert done.err == "git is not installed: runs will not record which commit they come from.\n"
    assert files(tmp_path).keys() == MADE


def test_a_dry_run_makes_nothing(init: Init, tmp_path: Path) -> None:
    done = init("site", "--dry-run")
    assert "trainer.yaml         would be made" in done.out
    assert f"Would be a workspace: {tmp_path / 'site'}" in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["site/data", "site"])
def test_a_file_in_the_way_is_named_before_anything_is_made(init: Init, tmp_path: Path, name: str) -> None:
    put(tmp_path / name, "mine")
    done = init("site/below" if name == "site" else "site")
    assert done.code == 2
    assert done.err.splitlines() == [
        f"Error: {tmp_path / name} is in the way: it is not a folder.",
        "Hint:  Move it away, or name another folder.",
    ]
    assert files(tmp_path) == {name: b"mine"}


def test_a_folder_that_cannot_be_made_is_an_error_in_two_lines(init: Init) -> None:
    done = init("/proc/site")
    assert done.code == 2
    assert done.err.splitlines() == [
        "Error: /proc/site cannot be made: No such file or directory.",
        "Hint:  Fix the cause, or name another folder; the same command creates what is missing.",
    ]
