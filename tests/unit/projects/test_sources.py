from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.projects import sources
from trainer.workspace.settings import Workspace, find

from unit.helpers import HttpServer, fails, git, put


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with a project at its top and one in a folder; `v1` is before the last commit."""
    folder = tmp_path / "models"
    put(folder / "MLproject", "name: top\n")
    put(folder / "forest" / "MLproject", "name: forest\n")
    git(tmp_path, "init", "--quiet", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "one")
    git(folder, "tag", "v1")
    put(folder / "MLproject", "name: later\n")
    git(folder, "commit", "--quiet", "-am", "two")
    return folder


def test_a_name_is_a_project_of_the_workspace(workspace: Workspace) -> None:
    put(workspace.projects / "no-project" / "train.py")
    put(workspace.projects / "theirs" / "MLProject")
    assert sources.names(workspace) == ["demo", "theirs"]
    source = sources.resolve(workspace, "demo")
    assert (source.name, source.folder) == ("train_code/demo", workspace.projects / "demo")
    source.close()
    assert source.folder.exists()


def test_a_folder(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    source = sources.resolve(workspace, "mine")
    assert (source.name, source.folder) == (str(tmp_path / "mine"), tmp_path / "mine")


def test_a_folder_of_a_folder(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine" / "steps").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert sources.resolve(workspace, "mine#steps").folder == tmp_path / "mine" / "steps"
    with fails(InvalidInput, "There is no project mine#gone.", "The projects are demo."):
        sources.resolve(workspace, "mine#gone")


def test_a_packed_project_is_to_be_unpacked(workspace: Workspace, tmp_path: Path) -> None:
    packed = put(tmp_path / "mine.zip")
    with fails(InvalidInput, f"{packed} is an archive.", "Unpack it and name the folder."):
        sources.resolve(workspace, str(packed))


def test_an_unknown_project(workspace: Workspace) -> None:
    with fails(InvalidInput, "There is no project dmeo.", "Did you mean demo?"):
        sources.resolve(workspace, "dmeo")
    with fails(InvalidInput, "There is no project zzz.", "The projects are demo."):
        sources.resolve(workspace, "zzz")
    hint = "Make one from the template tensorflow: trainer new my_tensorflow --template tensorflow"
    with fails(InvalidInput, "There is no project tensorflow.", hint):
        sources.resolve(workspace, "tensorflow")


def test_an_unknown_project_where_there_is_none(tmp_path: Path) -> None:
    put(tmp_path / "trainer.yaml")
    hint = "Make one: trainer new NAME --template minimal (`trainer new --help` names the other templates)"
    with fails(InvalidInput, "There is no project x.", hint):
        sources.resolve(find(tmp_path), "x")


def test_a_revision_needs_a_git_address(workspace: Workspace) -> None:
    with fails(
        InvalidInput, "--version needs a git URL, and demo is not one.", "Check the revision out yourself."
    ):
        sources.resolve(workspace, "demo", "v1")


@pytest.mark.parametrize(
    ("suffix", "revision", "said"),
    [("", None, "name: later\n"), ("", "v1", "name: top\n"), ("#forest", None, "name: forest\n")],
)
def test_a_git_address_is_fetched_and_removed_again(
    workspace: Workspace, repository: Path, suffix: str, revision: str | None, said: str
) -> None:
    address = f"file://{repository}{suffix}"
    source = sources.resolve(workspace, address, revision)
    assert source.name == address
    assert (source.folder / "MLproject").read_text() == said
    source.close()
    assert list(workspace.state.glob("source-*")) == []


@pytest.mark.parametrize(
    ("suffix", "revision", "message"),
    [
        ("", "v9", "{}: v9 cannot be checked out: pathspec 'v9' did not match any file(s) known to git."),
        ("#gone", None, "{} has no folder gone."),
        ("#..", None, "{} has no folder ..."),
        ("#/etc", None, "{} has no folder /etc."),
        ("-gone", None, "{0}-gone cannot be cloned: '{1}-gone' does not appear to be a git repository."),
    ],
)
def test_what_is_not_there_leaves_nothing_behind(
    workspace: Workspace, repository: Path, suffix: str, revision: str | None, message: str
) -> None:
    with fails(InvalidInput, message.format(f"file://{repository}", repository)):
        sources.resolve(workspace, f"file://{repository}{suffix}", revision)
    assert list(workspace.state.glob("source-*")) == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("remote: Repository not found.\nfatal: repository 'https://h/x.git/' not found",
         ": repository 'https://h/x.git/' not found"),
        ("fatal: unable to access 'https://h/x.git/': Could not resolve host: h",
         ": Could not resolve host: h"),
        ("ERROR: Repository not found.\nfatal: Could not read from remote repository.\n\n"
         "Please make sure you have the correct access rights\nand the repository exists.",
         ": Repository not found"),
        ("Warning: Permanently added 'h' to the list of known hosts.\ngit@h: Permission denied (publickey).\n"
         "fatal: Could not read from remote repository.", ": git@h: Permission denied (publickey)"),
        ("warning: nothing", ""),
    ],
)  # fmt: skip
def test_what_git_says_of_a_clone_that_failed_is_passed_on(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, reason: str
) -> None:
    put(tmp_path / "said", said)
    put(tmp_path / "bin" / "git", f"#!/bin/sh\ncat {tmp_path}/said >&2\nexit 128\n").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    hint = "Check the URL, the revision, and that you have access to the repository."
    with fails(InvalidInput, f"https://h/x.git cannot be cloned{reason}.", hint):
        sources.resolve(workspace, "https://h/x.git")


def test_a_server_without_the_repository(workspace: Workspace, http_server: HttpServer) -> None:
    address = f"{http_server.uri}/team/models.git"
    with fails(InvalidInput, f"{address} cannot be cloned: repository '{address}/' not found."):
        sources.resolve(workspace, address)


def test_while_completing_nothing_is_fetched(workspace: Workspace, repository: Path) -> None:
    with pytest.raises(InvalidInput):
        sources.resolve(workspace, f"file://{repository}", fetch=False)
    assert not workspace.state.exists()


@pytest.mark.parametrize(
    "address",
    ["https://me:hunter2@127.0.0.1:1/team/models.git", "https://hunter2@127.0.0.1:1/team/models.git"],
)
def test_a_password_is_in_no_argument_and_no_message(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    put(
        tmp_path / "bin" / "git",
        f'#!/bin/sh\necho "$@" > {tmp_path}/argv\nenv > {tmp_path}/env\n'
        f"echo 'fatal: hunter2 is refused by {address}' >&2\nexit 1\n",
    ).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    plain = "https://127.0.0.1:1/team/models.git"
    with fails(
        InvalidInput, f"{plain} cannot be cloned: *** is refused by https://***@127.0.0.1:1/team/models.git."
    ):
        sources.resolve(workspace, address)
    assert "hunter2" not in (tmp_path / "argv").read_text()
    output = (tmp_path / "env").read_text()
    assert f"GIT_CONFIG_KEY_0=url.{address}.insteadOf\n" in output
    assert "GIT_CONFIG_VALUE_0=https://127.0.0.1:1/team/models.git\n" in output
    assert "GIT_TERMINAL_PROMPT=0\n" in output


@pytest.mark.parametrize("address", ["git@example.com:team/models.git", "ssh://git@example.com/models.git"])
def test_a_user_name_of_ssh_stays(address: str) -> None:
    assert sources._without_credentials(address) == (address, {})


def test_an_address_that_is_none(workspace: Workspace) -> None:
    with pytest.raises(InvalidInput):
        sources.resolve(workspace, "https://[example.com/models.git")


def test_without_git(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with fails(InvalidInput, "git is not installed.", "Install it (package git), or name a folder."):
        sources.resolve(workspace, "https://127.0.0.1:1/models.git")
