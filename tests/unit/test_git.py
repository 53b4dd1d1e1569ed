"""Somebody else's project is listed and recorded; no program that its git configuration names is executed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer import archives
from trainer import git as asked
from trainer.errors import TrainerError
from trainer.source import snapshot
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace

from unit.git_trap import Trap
from unit.helpers import Result, git, put

MLPROJECT = "name: forest\nentry_points: {main: {command: python x.py}}\ndocker_env: {image: trainer/small}\n"


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path)


def project(folder: Path) -> Path:
    put(folder / "MLproject", MLPROJECT)
    put(folder / "x.py", "print()\n")
    return folder


def repository(folder: Path) -> Path:
    """A project that is a git repository, with one commit."""
    project(folder)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "one")
    return folder


def configure(folder: Path, text: str) -> None:
    with (folder / ".git" / "config").open("a") as config:
        config.write(text)


def touch(path: Path) -> None:
    """git cannot tell by its stamps that the file is as it was."""
    os.utime(path, (1, 1))


def test_a_bare_repository_in_a_fetched_one(
    trainer: Callable[..., Result], tmp_path: Path, trap: Trap
) -> None:
    folder = tmp_path / "evil"
    trap.bare_repository(project(folder / "forest"))
    git(tmp_path, "init", "--quiet", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "one")
    done = trainer("run", f"file://{folder}#forest", "--dry-run", "--json")
    assert not trap.mark.exists()
    assert (done.code, json.loads(done.out)["project"]) == (0, "forest")
    at = snapshot.commit(folder / "forest")
    assert not trap.mark.exists()
    assert at
    assert (at.id, at.dirty) == (git(folder, "rev-parse", "HEAD").strip(), False)
    assert Path("x.py") in snapshot.files(folder / "forest")


@pytest.mark.parametrize("included", [False, True])
def test_a_folder_elsewhere_with_a_monitor(
    trainer: Callable[..., Result], tmp_path: Path, trap: Trap, included: bool
) -> None:
    folder = repository(tmp_path / "dl")
    if included:
        put(folder / "more", trap.monitor())
        configure(folder, "[include]\npath = ../more\n")
    else:
        configure(folder, trap.monitor())
    assert trainer("run", str(folder), "--dry-run").code == 0
    assert snapshot.commit(folder) is not None
    secrets.in_history(folder / "x.py")
    list(secrets.leaks(folder / "x.py"))
    assert asked.is_ignored(folder / "x.py") is False
    assert not trap.mark.exists()


@pytest.mark.parametrize("key", ["clean", "process"])
@pytest.mark.parametrize("name", ["evil", "a=b"])
def test_a_folder_elsewhere_with_a_filter(tmp_path: Path, trap: Trap, key: str, name: str) -> None:
    folder = project(tmp_path / "dl")
    put(folder / ".gitattributes", f"*.py filter={name}\n")
    repository(folder)
    configure(folder, f'[filter "{name}"]\n{key} = {trap.program}\nrequired = true\n')
    touch(folder / "x.py")
    at = snapshot.commit(folder)
    assert not trap.mark.exists()
    assert at
    assert not at.dirty
    put(folder / "x.py", "changed\n")
    at = snapshot.commit(folder)
    assert not trap.mark.exists()
    assert at
    assert at.dirty


def test_a_filter_of_a_submodule(tmp_path: Path, trap: Trap) -> None:
    inner = project(tmp_path / "inner")
    put(inner / ".gitattributes", "*.py filter=evil\n")
    repository(inner)
    outer = repository(tmp_path / "outer")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "inner")
    git(outer, "commit", "--quiet", "-m", "two")
    git(outer / "inner", "config", "filter.evil.clean", str(trap.program))
    touch(outer / "inner" / "x.py")
    assert snapshot.commit(outer) is not None
    at = snapshot.commit(outer / "inner")
    assert at
    assert at.id == git(inner, "rev-parse", "HEAD").strip()
    assert not trap.mark.exists()


def test_the_users_own_filter_is_in_force(tmp_path: Path, trap: Trap) -> None:
    """As git-lfs is, which is configured for the user, and may be for a repository too."""
    git(tmp_path, "config", "--global", "filter.own.clean", str(trap.program))
    folder = project(tmp_path / "mine")
    put(folder / ".gitattributes", "*.py filter=own\n")
    repository(folder)
    configure(folder, '[filter "own"]\nclean = false\n')
    trap.mark.unlink()
    touch(folder / "x.py")
    at = snapshot.commit(folder)
    assert at
    assert not at.dirty
    assert trap.mark.exists()


def test_what_is_fetched_when_it_is_missing(tmp_path: Path, trap: Trap) -> None:
    """By the remote's programs, in a partial clone."""
    folder = repository(tmp_path / "dl")
    put(folder / "x.py", "changed\n")
    git(folder, "add", ".")
    configure(
        folder,
        "[extensions]\npartialClone = origin\n[protocol]\nallow = always\n[core]\n"
        f'sshCommand = {trap.program}\n[remote "origin"]\nurl = ssh://host/x\npromisor = true\n',
    )
    for path in (folder / ".git" / "objects").glob("??/*"):
        if git(folder, "cat-file", "-t", path.parent.name + path.name).strip() == "tree":
            path.unlink()
            break
    with pytest.raises(TrainerError, match="git cannot be asked"):  # what it takes is not here
        snapshot.commit(folder)
    snapshot.files(folder)
    assert not trap.mark.exists()


def test_a_signature_is_not_checked_by_a_program_of_the_repository(tmp_path: Path, trap: Trap) -> None:
    folder = repository(tmp_path / "dl")
    tree = git(folder, "rev-parse", "HEAD^{tree}").strip()
    signed = (
        f"tree {tree}\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n"
        "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\none\n"
    )
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        cwd=folder, input=signed, check=True, capture_output=True, text=True,
    )  # fmt: skip
    git(folder, "update-ref", "HEAD", made.stdout.strip())
    configure(folder, f"[log]\nshowSignature = true\n[gpg]\nprogram = {trap.program}\n")
    assert secrets.in_history(folder / "x.py")
    assert not trap.mark.exists()


@pytest.mark.parametrize("place", [".git", "."])
def test_a_repository_that_a_run_made_in_its_project(
    trainer: Callable[..., Result], workspace: Workspace, trap: Trap, place: str
) -> None:
    put(workspace.root / ".gitignore", "secrets.env\n")
    repository(workspace.root)
    trap.bare_repository(workspace.projects / "demo" / place)
    put(workspace.projects / "demo" / place / "config", f"[core]\nworktree = ..\n{trap.monitor()}")
    assert trainer("run", "demo", "--dry-run").code == 0
    at = snapshot.commit(workspace.projects / "demo")
    assert at
    assert at.id == git(workspace.root, "rev-parse", "HEAD").strip()
    assert at.dirty is (place == ".")
    assert Path("train.py") in snapshot.files(workspace.projects / "demo")
    assert not trap.mark.exists()


def test_a_clone_among_the_projects_is_a_repository_of_its_own(workspace: Workspace) -> None:
    put(workspace.root / ".gitignore", "secrets.env\n")
    repository(workspace.root)
    theirs = repository(workspace.projects / "theirs")
    put(theirs / ".gitignore", "*.bin\n")
    put(theirs / "weights.bin")
    at = snapshot.commit(theirs)
    assert at
    assert at.id == git(theirs, "rev-parse", "HEAD").strip()
    assert snapshot.files(theirs) == [Path(".gitignore"), Path("MLproject"), Path("x.py")]


def test_stored_code_with_a_repository_in_it(workspace: Workspace, tmp_path: Path, trap: Trap) -> None:
    """As `trainer reproduce` unpacks it, in the workspace's own folder."""
    trap.bare_repository(project(tmp_path / "stored"))
    trap.bare_repository(tmp_path / "stored" / ".git")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(tmp_path / "stored", "code")
    path = workspace.state / "reproduce-x"
    with tarfile.open(fileobj=io.BytesIO(packed.getvalue())) as tar:
        archives.unpack(tar, path)
    assert Path("x.py") in snapshot.files(path / "code")
    assert snapshot.commit(path / "code") is None
    assert not trap.mark.exists()


def test_what_git_lists_of_elsewhere_does_not_travel(tmp_path: Path) -> None:
    folder = project(tmp_path / "dl")
    put(folder / "lib" / "key", "x")
    repository(folder)
    put(tmp_path / "home" / "key", "private")
    (folder / "lib" / "key").unlink()
    (folder / "lib").rmdir()
    (folder / "lib").symlink_to("../home")
    index = folder / ".git" / "index"
    assert Path("lib/key") not in snapshot.files(folder)
    assert Path("lib") in snapshot.files(folder)
    blob = git(folder, "rev-parse", "HEAD:x.py").strip()
    git(folder, "update-index", "--add", "--cacheinfo", f"100644,{blob},aa/home/key")
    index.write_bytes(index.read_bytes().replace(b"aa/home/key", b"../home/key"))
    assert [path for path in snapshot.files(folder) if ".." in path.parts] == []


def test_what_the_repository_says_of_its_files_is_in_force(tmp_path: Path) -> None:
    folder = repository(tmp_path / "mine")
    git(folder, "config", "core.fileMode", "false")
    git(folder, "config", "core.excludesFile", str(put(tmp_path / 'a "b\\c', "*.log\n")))
    (folder / "x.py").chmod(0o755)
    put(folder / "x.log")
    at = snapshot.commit(folder)
    assert at
    assert not at.dirty


def test_a_linked_work_tree(tmp_path: Path) -> None:
    folder = repository(tmp_path / "mine")
    git(folder, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    at = snapshot.commit(tmp_path / "linked")
    assert at
    assert (at.branch, at.dirty) == ("other", False)
    put(tmp_path / "linked" / "new.py")
    at = snapshot.commit(tmp_path / "linked")
    assert at
    assert at.dirty


def test_a_name_with_a_pattern_in_it(tmp_path: Path) -> None:
    folder = repository(tmp_path / "mine")
    put(folder / "a*" / "x.py")
    put(folder / "ab" / "y.py")
    assert snapshot.files(folder / "a*") == [Path("x.py")]
    put(folder / ".gitignore", "*.env\n")
    assert asked.is_ignored(folder / "a*" / ":x.env")


def test_git_calls_trainer_from_a_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repository(tmp_path / "mine")
    monkeypatch.setenv("GIT_DIR", str(repository(tmp_path / "other") / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "none"))
    at = snapshot.commit(folder)
    assert at
    assert not at.dirty


def _of_another_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    return (
        f"git cannot be asked about {folder}: detected dubious ownership in repository at '{folder}'.",
        f"If you trust who owns it: git config --global --add safe.directory {folder}",
    )


def _without_git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setenv("PATH", str(folder))
    return (
        f"{folder} is a git repository, but git is not installed: ignored files are unknown.",
        "Install git, for instance: sudo apt-get install git",
    )


def _broken(folder: Path, _: pytest.MonkeyPatch) -> tuple[str, str]:
    (folder / ".git" / "config").write_text("[core\n")
    return (
        f"git cannot be asked about {folder}: bad config line 1 in file .git/config.",
        f"Repair the repository; `git -C {folder} status` says more.",
    )


Break = Callable[[Path, pytest.MonkeyPatch], tuple[str, str]]


@pytest.mark.parametrize("broken", [_of_another_user, _without_git, _broken])
def test_where_git_cannot_be_asked_nothing_is_packed(
    trainer: Callable[..., Result], workspace: Workspace, monkeypatch: pytest.MonkeyPatch, broken: Break
) -> None:
    put(repository(workspace.root) / ".gitignore", "secrets.env\n*.ckpt\n")
    folder = project(workspace.projects / "demo")
    large = put(folder / "large.ckpt")
    put(workspace.root / "secrets.env", "A=1234567890\n").chmod(0o600)
    asks: list[Callable[[], object]] = [
        lambda: snapshot.files(folder),
        lambda: snapshot.commit(folder),
        lambda: asked.is_ignored(large),
        lambda: secrets.check(workspace),
    ]
    message, hint = broken(workspace.root, monkeypatch)
    for ask in asks:
        with pytest.raises(TrainerError) as caught:
            ask()
        assert (caught.value.message, caught.value.hint) == (message, hint)
    done = trainer("run", "demo", "--dry-run")
    assert (done.code, done.err) == (92, f"Error: {message}\nHint:  {hint}\n")
    checked = trainer("secrets", "check")
    assert (checked.code, message in checked.out, "✓ secrets.env" in checked.out) == (89, True, False)
    looked = {item["name"]: item["status"] for item in json.loads(trainer("doctor", "--json").out)}
    assert (looked["git"], looked["secrets"]) == ("failure", "failure")


def test_the_way_out_that_is_named_leads_out(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    put(repository(workspace.root) / ".gitignore", "*.ckpt\n")
    put(workspace.root / "large.ckpt")
    _, hint = _of_another_user(workspace.root, monkeypatch)
    subprocess.run(hint.partition(": ")[2], shell=True, check=True)
    assert Path("x.py") in snapshot.files(workspace.root)
    assert Path("large.ckpt") not in snapshot.files(workspace.root)
    assert snapshot.commit(workspace.root)


def test_outside_of_a_repository_git_need_not_be_there(
    trainer: Callable[..., Result], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(workspace.projects / "demo")
    monkeypatch.setenv("PATH", "/nowhere")
    assert trainer("run", "demo", "--dry-run").code == 0
    assert asked.check(workspace.root) is None
    assert snapshot.commit(workspace.root) is None


def test_a_repository_inside_of_one_that_git_refuses_is_asked_as_git_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(tmp_path)
    inner = repository(tmp_path / "inner")
    git(tmp_path, "config", "--global", "--add", "safe.directory", str(inner))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert Path("x.py") in snapshot.files(inner)
