"""Two ordinary users of one engine, side by side: neither sees, ends or tidies away what is the other's."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import REPOSITORY, Result, Site

pytestmark = pytest.mark.root

# In a mount namespace of its own, where the user reaches this checkout and this Python wherever they are.
_AS_USER = """
mount --bind "$1" "$3/checkout" && mount --bind "$2" "$3/python" || exit 99
user=$4 home=$5; shift 5
exec runuser -u "$user" -- env -i HOME="$home" USER="$user" PATH=/usr/local/bin:/usr/bin:/bin \
  TRAINER_BASE_IMAGE="$TRAINER_BASE_IMAGE" PYTHONPATH="$CHECKOUT/tooling:$CHECKOUT/trainer_images/trainkit" \
  sh -c 'umask 077; cd; cd "$1"; shift; exec "$@"' as_user "$@"
"""
_PROJECT = """
name: reading
docker_env: {image: sklearn}
entry_points:
  main:
    parameters: {tables: {type: path, default: ../../data/tables}}
    command: python read.py {tables}
"""
_SCRIPT = """
import sys, time
from pathlib import Path
import mlflow
tables = Path(sys.argv[1])
with mlflow.start_run():
    mlflow.log_metric("rows", len((tables / "table.csv").read_text().splitlines()))
    while (tables / "wait").exists():
        time.sleep(0.1)
    mlflow.log_text("written", "end.txt")
"""


@dataclass(frozen=True)
class User:
    """An ordinary user of the group docker, with a workspace at ~/work."""

    name: str
    home: Path
    places: Path

    def run(self, *command: str, folder: str = "work", timeout_s: float = 300) -> Result:
        """Run a command as this user, with umask 077."""
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", _AS_USER, "sh", str(REPOSITORY), sys.prefix, str(self.places),
             self.name, str(self.home), folder, *command],
            capture_output=True, text=True, check=False, timeout=timeout_s,
            env={**os.environ, "CHECKOUT": str(self.places / "checkout")},
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    def trainer(self, *arguments: str, folder: str = "work") -> Result:
        """Run `trainer ARGUMENTS` as this user."""
        return self.run(str(self.places / "python/bin/python"), "-m", "trainer", *arguments, folder=folder)

    def status(self, run: str) -> str:
        """What `trainer runs` says of the run's state."""
        listed = json.loads(self.trainer("runs", "--json").out)
        return next(str(entry["status"]) for entry in listed if entry["name"] == run)

    def until(self, run: str, status: str) -> None:
        """Wait until the run has that state."""
        give_up = time.monotonic() + 120
        while self.status(run) != status:
            assert time.monotonic() < give_up, self.trainer("runs").out
            time.sleep(1)


@pytest.fixture(scope="module")
def users(site: Site) -> Iterator[list[User]]:  # noqa: ARG001 (has built the image)
    """Two of them, each with a workspace, a project, and data that nobody else may read."""
    if not _is_open(Path(sys.executable).resolve()):
        pytest.skip(f"ordinary users cannot run {sys.executable}")
    places = Path(tempfile.mkdtemp(prefix="trainer-two-"))
    places.chmod(0o755)
    for name in ("checkout", "python"):
        (places / name).mkdir()
    made = []
    for name in ("trainer-anna", "trainer-ben"):
        # A test that was killed has left them.
        subprocess.run(["userdel", "--force", "--remove", name], check=False, capture_output=True)
        subprocess.run(
            ["useradd", "--create-home", "--groups", "docker", "--shell", "/bin/sh", name], check=True
        )
        user = User(name, Path("~" + name).expanduser(), places)
        made.append(user)
        done = user.trainer("init", "work", folder=".")
        assert done.code == 0, done.err
        project = user.home / "work" / "train_code" / "reading"
        project.mkdir(parents=True)
        (project / "MLproject").write_text(_PROJECT)
        (project / "read.py").write_text(_SCRIPT)
        tables = user.home / "work" / "data" / "tables"
        tables.mkdir()
        (tables / "table.csv").write_text("a,b\n" * (7 if made[1:] else 3))
        subprocess.run(["chown", "-R", f"{name}:", str(user.home)], check=True)
        subprocess.run(["chmod", "-R", "go-rwx", str(user.home)], check=True)
    yield made
    for user in made:
        user.trainer("server", "down")
        subprocess.run(["userdel", "--remove", user.name], check=False, capture_output=True)
    shutil.rmtree(places)


def _is_open(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in (path, *path.parents))


def test_each_has_runs_of_their_own_and_leaves_the_others_alone(users: list[User]) -> None:
    anna, ben = users
    wait = anna.home / "work" / "data" / "tables" / "wait"
    wait.touch()
    started = anna.trainer("run", "reading", "--detach", "--run-name", "annas")
    assert started.code == 0, started.err
    mine = ben.trainer("run", "reading", "--run-name", "bens")
    assert mine.code == 0, mine.err
    assert "FINISHED  bens" in mine.out
    for command in (["reconcile"], ["gc", "--yes"], ["sync"]):
        done = ben.trainer(*command)
        assert done.code == 0, done.err
    assert "annas" not in ben.trainer("ps").out
    assert "annas" not in ben.trainer("runs").out
    assert ben.trainer("stop", "annas").code == 2
    assert "annas" in anna.trainer("ps").out
    wait.unlink()
    anna.until("annas", "FINISHED")
    shown = json.loads(anna.trainer("show", "annas", "--json").out)
    assert shown["metrics"]["rows"] == 3
    assert json.loads(ben.trainer("show", "bens", "--json").out)["metrics"]["rows"] == 7


def test_nothing_in_a_workspace_can_be_read_by_others(users: list[User]) -> None:
    anna, _ben = users
    assert anna.trainer("run", "reading").code == 0
    work = anna.home / "work"
    seen = [
        str(path.relative_to(work))
        for path in (work / ".trainer", work / "mlruns")
        if path.exists() and path.stat().st_mode & 0o077
    ]
    assert seen == []
    assert {path.owner() for path in work.rglob("*") if not path.is_symlink()} == {anna.name}
