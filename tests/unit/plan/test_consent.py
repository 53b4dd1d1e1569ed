"""What a stranger's project asks for is asked of the user first, and what was allowed is remembered.

There is no engine here: a run that was allowed ends with exit code 82.
"""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.exceptions import ExecutionException
from trainer import mlflow_plugin
from trainer.errors import NotAllowed
from trainer.plan import consent
from trainer.plan.consent import ProjectLocation, RequestedPermissions, StoredRun
from trainer.projects.mounts import Mount
from trainer.workspace.settings import Workspace

from unit.helpers import DOCKER, LOCAL, Result, git, put

Trainer = Callable[..., Result]
ALLOWED, REFUSED = 82, 93
HINT = """Hint:  If you trust it, allow it with --yes; with mlflow run: --backend-config '{"yes": true}'"""


class Stranger:
    """A project in a git repository of somebody else's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"file://{folder}"
        git(put(folder / "train.py").parent, "init", "--quiet")

    def says(self, docker_env: str = "", parameters: str = "") -> str:
        """Commit an MLproject; its git URL."""
        said = f"docker_env: {{image: trainer/small{docker_env}}}\nentry_points:\n"
        main = f"  main: {{parameters: {{{parameters}}}, command: python train.py}}\n"
        put(self.folder / "MLproject", said + main)
        git(self.folder, "add", ".")
        git(self.folder, "commit", "--quiet", "--allow-empty", "-m", "Change")
        return self.address


@pytest.fixture
def stranger(tmp_path: Path) -> Stranger:
    return Stranger(tmp_path / "elsewhere" / "theirs")


def asked(trainer: Trainer, *arguments: str) -> list[str]:
    """What the plan says that the project asks to do."""
    done = trainer("run", *arguments, "--dry-run", "--json")
    return list(json.loads(done.out)["asks_to"])


def test_a_project_that_asks_for_nothing_runs(trainer: Trainer, stranger: Stranger) -> None:
    own = stranger.says(
        ', volumes: ["$(pwd):/work", "$(pwd)/../theirs:/again"]', "code: {type: path, default: .}"
    )
    assert asked(trainer, own) == []
    assert "read" not in trainer("run", own, "--dry-run").out.replace("read only", "").replace(
        "(read-only)", ""
    )
    assert trainer("run", own).code == ALLOWED


def test_without_a_terminal_the_run_is_refused_with_the_way_out(
    trainer: Trainer, workspace: Workspace, stranger: Stranger, tmp_path: Path
) -> None:
    keys = put(tmp_path / "keys" / "id").parent
    url = stranger.says(f', volumes: ["{keys}:/keys:ro"], environment: [API_KEY]')
    done = trainer("run", url)
    assert done.code == REFUSED
    wants = ["have the value of the secret API_KEY", f"read {keys}, at /keys"]
    assert done.err.splitlines() == [f"Error: {url} asks to {'; to '.join(wants)}.", HINT]
    assert not (workspace.state / "allowed").exists()
    assert asked(trainer, url) == wants
    assert all(want in trainer("run", url, "--dry-run").out.replace("\n", "") for want in wants[:1])


def test_what_was_allowed_is_remembered_for_that_commit(
    trainer: Trainer, stranger: Stranger, tmp_path: Path
) -> None:
    url = stranger.says(f', volumes: ["{tmp_path}/elsewhere:/theirs"]')
    assert trainer("run", url, "--yes").code == ALLOWED
    assert trainer("run", url).code == ALLOWED
    stranger.says(f', volumes: ["{tmp_path}/elsewhere:/theirs"]')
    assert trainer("run", url).code == REFUSED
    assert trainer("run", url, "--version", "HEAD~1").code == ALLOWED
    assert trainer("run", url, "--yes", "-e", "train.py").code == ALLOWED
    assert trainer("run", url).code == ALLOWED
    stranger.says(", environment: [API_KEY]")
    assert trainer("run", url).code == REFUSED


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_in_a_terminal_the_user_is_asked_once(
    trainer: Trainer, workspace: Workspace, stranger: Stranger, answer: str
) -> None:
    url = stranger.says(", environment: [API_KEY]")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", "run", url], stdin=theirs, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    said, _ = process.communicate()
    os.close(ours)
    commit = git(stranger.folder, "rev-parse", "HEAD").strip()
    assert said.startswith(
        f"{url} (commit {commit[:12]}) asks to\n  - have the value of the secret API_KEY\nAllow it? [y/N]: "
    )
    assert process.returncode == (2 if answer == "y" else REFUSED)  # 2: the secret is not set
    assert trainer("run", url).code == (2 if answer == "y" else REFUSED)
    assert (workspace.state / "allowed").exists() is (answer == "y")


@pytest.mark.parametrize(
    ("parameter", "want"),
    [
        ("conf: {type: path, default: /etc/passwd}", "read /etc/passwd, as its parameter conf"),
        (
            "conf: {type: path, default: 's3://me:secret@bucket/all'}",
            "have s3://bucket/all fetched by you, as its parameter conf",
        ),
    ],
)
def test_a_default_that_leads_out_of_the_project(
    trainer: Trainer, stranger: Stranger, parameter: str, want: str
) -> None:
    url = stranger.says("", parameter)
    assert want in asked(trainer, url)
    assert trainer("run", url).code == REFUSED
    # What the user names, the user means.
    assert trainer("run", url, "--conf", "/etc/hostname").code == ALLOWED


@pytest.mark.parametrize("kind", ["python_env", "conda_env"])
def test_an_environment_file_that_is_not_of_the_project_is_not_read(
    trainer: Trainer, workspace: Workspace, stranger: Stranger, tmp_path: Path, kind: str
) -> None:
    private = put(tmp_path / "elsewhere" / "private" / "env.yaml", "dependencies: [canary-7f3a]\n")
    (stranger.folder / "link.yaml").symlink_to("../private/env.yaml")
    for name in ("../private/env.yaml", private, "link.yaml"):
        put(stranger.folder / "MLproject", f"{kind}: {name}\nentry_points: {{main: {{command: a}}}}\n")
        done = trainer("run", str(stranger.folder), "--dry-run")
        assert (done.code, "canary" in done.out + done.err) == (2, False)
        path = stranger.folder / name
        assert f"theirs is built from {path}, which is outside of the project." in done.err
    (stranger.folder / "link.yaml").unlink()
    put(stranger.folder / "MLproject", f"{kind}: envs/e.yaml\nentry_points: {{main: {{command: a}}}}\n")
    put(stranger.folder / "envs" / "e.yaml", "dependencies: [numpy]\n")
    assert trainer("run", str(stranger.folder), "--dry-run").code == 0
    # The user's own may share one.
    own = put(
        workspace.projects / "own" / "MLproject",
        f"{kind}: {private}\nentry_points: {{main: {{command: a}}}}\n",
    )
    assert trainer("run", own.parent.name, "--dry-run").code == 0


@pytest.mark.parametrize("target", ["/etc/hosts", "../nowhere", "/no/such/file"])
def test_a_link_that_no_run_can_follow_is_not_asked_for(
    trainer: Trainer, workspace: Workspace, stranger: Stranger, target: str
) -> None:
    (stranger.folder / "link").symlink_to(target)
    done = trainer("run", stranger.says("", "conf: {type: path, default: .}"), "--yes")
    assert done.code == 2
    assert f"link is a link to {target}, outside of the project: it leads nowhere in a run." in done.err
    assert not (workspace.state / "runs").exists()
    assert "clone it first and run the clone." in done.err
    # Which is done.
    git(stranger.folder.parent, "clone", "--quiet", str(stranger.folder), "mine")
    (stranger.folder.parent / "mine" / "link").unlink()
    put(stranger.folder.parent / "mine" / "link", "a copy")
    assert asked(trainer, str(stranger.folder.parent / "mine")) == []


def test_a_link_to_a_file_of_another_project(
    trainer: Trainer, workspace: Workspace, stranger: Stranger
) -> None:
    (stranger.folder / "borrowed.py").symlink_to("../../../train_code/demo/train.py")
    url = stranger.says()
    assert asked(trainer, url) == [f"read {workspace.projects}/demo/train.py, as its file borrowed.py"]
    assert trainer("run", url).code == REFUSED


def test_without_a_container_a_stranger_has_all(
    trainer: Trainer, workspace: Workspace, stranger: Stranger
) -> None:
    done = trainer("run", stranger.says(), "--backend", "local")
    assert done.code == REFUSED
    assert "asks to run on this machine without a container, with all your rights." in done.err
    asks = tuple(
        consent.of_environment(ProjectLocation(workspace, workspace.projects / "demo"), LOCAL, (), ())
    )
    own = RequestedPermissions("train_code/demo", "", asks, is_own=True)
    assert (len(asks), consent.open_asks(workspace, own)) == (1, ())


def test_a_folder_elsewhere_is_a_strangers_too(trainer: Trainer, stranger: Stranger) -> None:
    stranger.says(", environment: [API_KEY], volumes: [pgdata:/db]")
    done = trainer("run", str(stranger.folder))
    assert done.code == REFUSED
    assert "; to read and write Docker's volume pgdata, at /db." in done.err


def test_a_variable_in_a_volume_is_asked_for_and_no_secret_is_taken(
    trainer: Trainer,
    workspace: Workspace,
    stranger: Stranger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(workspace.secrets_file, "API_KEY=canary-7f3a\n").chmod(0o600)
    put(workspace.root / ".gitignore", "secrets.env\n")
    monkeypatch.setenv("VERSION", "v-2024")
    url = stranger.says(', volumes: ["$VERSION:/x"]')
    assert asked(trainer, url) == [
        "have the value of your variable VERSION",
        "read and write Docker's volume v-2024, at /x",
    ]
    assert trainer("run", url).code == REFUSED
    for volume in ("$(pwd):/x/$VERSION", "$(pwd):/x-${VERSION}:ro"):
        done = trainer("run", stranger.says(f', volumes: ["{volume}"]'), "--yes")
        assert (done.code, "has a variable in its place in the container." in done.err) == (2, True)
        assert "v-2024" not in done.err
    monkeypatch.setenv("OTHER", "canary-7f3a")
    done = trainer("run", stranger.says(', volumes: ["$OTHER:/x"]'), "--yes")
    message = "docker_env.volumes has OTHER, which is the value of the secret API_KEY."
    assert (done.code, done.err.splitlines()[0]) == (2, f"Error: {message}")
    monkeypatch.setenv("OTHER", f"{tmp_path}/canary-7f3a")
    done = trainer("run", stranger.says(', volumes: ["$OTHER/x:/x"]'), "--yes")
    assert (done.code, "canary" in done.err) == (2, False)


def test_a_project_of_the_workspace_has_what_it_names(
    trainer: Trainer, workspace: Workspace, tmp_path: Path
) -> None:
    put(workspace.secrets_file, "API_KEY=canary-7f3a\n").chmod(0o600)
    put(workspace.projects / "own" / "MLproject",
        f'docker_env: {{image: trainer/small, environment: [API_KEY], volumes: ["{tmp_path}/x:/x"]}}\n'
        "entry_points: {main: {command: a}}\n")  # fmt: skip
    put(tmp_path / "x" / "file")
    assert asked(trainer, "own") == []
    assert "asks to" not in trainer("run", "own", "--dry-run").out
    assert trainer("run", "own").code == ALLOWED
    # What it had is no answer for what is stored elsewhere and says that it comes from there.
    stored = StoredRun("run-1", "digest")
    claims = RequestedPermissions("train_code/own", "", (), stored)
    place = ProjectLocation(workspace, workspace.state / "reproduce-1" / "code")
    asks = tuple(consent.of_environment(place, LOCAL, (), ["API_KEY"]))
    assert len(consent.open_asks(workspace, replace(claims, asks=asks))) == 2


def test_a_run_that_is_made_again_has_what_it_had_and_no_other_has(workspace: Workspace) -> None:
    own, other = put(workspace.projects / "demo" / "weights.txt"), put(workspace.root / "elsewhere.txt")
    paths = {"weights": str(own), "table": str(other)}

    def asked(folder: Path, run: StoredRun | None = None) -> RequestedPermissions:
        place = ProjectLocation(workspace, folder)
        asks = (
            *consent.of_environment(place, DOCKER, (), ["API_KEY"]),
            *consent.of_paths(place, DOCKER, paths, ()),
        )
        return RequestedPermissions("train_code/demo", "", asks, run, place.is_own)

    had, stored = StoredRun("run-1", "digest"), workspace.state / "resume-1" / "code"
    assert len(consent.open_asks(workspace, asked(stored, had))) == 3
    first = asked(workspace.projects / "demo")
    consent.check(workspace, first, ())
    consent.of_run(workspace, first, had)
    assert consent.open_asks(workspace, asked(stored, had)) == ()
    for run in (StoredRun("run-1", "other code"), StoredRun("run-2", "digest")):
        assert len(consent.open_asks(workspace, asked(stored, run))) == 3
    with pytest.raises(NotAllowed, match=r"^The code stored with the run run-2 asks to have the value"):
        consent.check(workspace, asked(stored, StoredRun("run-2", "digest")), ())
    consent.check(workspace, again := asked(stored, run), again.asks)
    assert consent.open_asks(workspace, again) == ()


def volumes_of(workspace: Workspace, volume: str) -> str:
    put(workspace.projects / "own" / "MLproject",
        f'docker_env: {{image: trainer/small, volumes: ["{volume}"]}}\n'
        "entry_points: {main: {command: a}}\n")  # fmt: skip
    return "own"


@pytest.mark.parametrize(
    "place", ["/", "{root}", "{root}/secrets.env", "{root}/..", "{root}/to-all", "{root}/to-secrets",
              "{sockets}", "{sockets}/docker.sock", "{root}/train_code/own/../..",
              "/proc", "/proc/self", "/sys", "/sys/kernel", "/dev", "/dev/null", "/run", "{root}/to-proc"],
)  # fmt: skip
def test_the_machine_and_all_secrets_are_always_asked_for(
    trainer: Trainer, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    put(workspace.secrets_file, "A=1\n").chmod(0o600)
    put(workspace.projects / "own" / "train.py")
    sockets = put(tmp_path / "run" / "docker.sock").parent
    monkeypatch.setenv("DOCKER_HOST", f"unix://{sockets}/docker.sock")
    (workspace.root / "to-all").symlink_to("/")
    (workspace.root / "to-secrets").symlink_to("secrets.env")
    (workspace.root / "to-proc").symlink_to("/proc/self/root")
    own = volumes_of(workspace, f"{place.format(root=workspace.root, sockets=sockets)}:/it:ro")
    for _ in range(2):
        done = trainer("run", own)
        assert done.code == REFUSED, done.err
        assert done.err.startswith("Error: train_code/own asks to read /")
        assert trainer("run", own, "--yes").code == ALLOWED
    assert not (workspace.state / "allowed").exists()


def test_another_name_of_all_secrets_is_always_asked_for(
    trainer: Trainer, workspace: Workspace, tmp_path: Path
) -> None:
    put(workspace.secrets_file, "A=1\n").chmod(0o600)
    (tmp_path / "alias").hardlink_to(workspace.secrets_file)
    own = volumes_of(workspace, f"{tmp_path}/alias:/it:ro")
    for _ in range(2):
        assert trainer("run", own).code == REFUSED
        assert trainer("run", own, "--yes").code == ALLOWED


@pytest.mark.root
def test_a_bind_mount_of_the_workspace_is_always_asked_for(workspace: Workspace, tmp_path: Path) -> None:
    alias = tmp_path / "alias"
    alias.mkdir()
    subprocess.run(["mount", "--bind", str(workspace.root.parent), str(alias)], check=True)
    try:
        place = ProjectLocation(workspace, workspace.projects / "demo")
        for end in (alias, alias / workspace.root.name):
            [ask] = consent.of_environment(place, DOCKER, [Mount(str(end), "/it")], ())
            assert ask.always
    finally:
        subprocess.run(["umount", str(alias)], check=True)


def test_shared_memory_is_a_folder_like_others(trainer: Trainer, workspace: Workspace) -> None:
    assert trainer("run", volumes_of(workspace, "/dev/shm:/dev/shm")).code == ALLOWED


def test_other_folders_and_the_data_are_the_users_own(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.data / "pets" / "a.txt")
    assert trainer("run", volumes_of(workspace, "/etc:/etc-of-host:ro")).code == ALLOWED
    for volume in (f"{workspace.data}/pets:/pets:ro", f"{workspace.data}/pets:/pets"):
        assert asked(trainer, volumes_of(workspace, volume)) == []


def test_what_a_stranger_wrote_steers_no_terminal(trainer: Trainer, stranger: Stranger) -> None:
    done = trainer("run", stranger.says(', volumes: ["pgdata:/a\\e[2K\\rfine"]'))
    assert done.code == REFUSED
    assert r"at /a\x1b[2K\rfine" in done.err
    assert "\x1b[2K" not in done.err


def test_mlflow_run_is_refused_unless_its_configuration_allows_it(
    workspace: Workspace, stranger: Stranger
) -> None:
    url = stranger.says(", environment: [API_KEY]")
    backend = mlflow_plugin.DockerProjectBackend()
    with pytest.raises(ExecutionException, match=r"asks to have the value of the secret API_KEY"):
        backend.run(url, "main", {}, None, {}, "", "")
    assert not (workspace.state / "allowed").exists()
    with pytest.raises(ExecutionException, match=r"needs the variable API_KEY, which is not set"):
        backend.run(url, "main", {}, None, {"yes": True}, "", "")
