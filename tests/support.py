"""What the tests with real servers share: a workspace, and `trainer` as a user calls it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import forked
from mlflow import MlflowClient
from mlflow.entities import Run

REPOSITORY = Path(__file__).parent.parent
PROJECTS = Path(__file__).parent / "projects"
CANARY = "canary-7f3a-%s-'quoted\"-$HOME-end"
DEAD_ENGINE = "unix:///no/such/engine.sock"


@dataclass(frozen=True)
class Result:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> list[str]:
        """The lines of the error on stderr; on a slow machine, what was waited for stands before them."""
        lines = self.err.splitlines()
        starts = [at for at, line in enumerate(lines) if line.startswith("Error: ")]
        return lines[starts[-1] :] if starts else []

    @property
    def run_id(self) -> str:
        """The id of the run that the command made."""
        match = re.search(r"/runs/([0-9a-f]{32})", self.err + self.out)
        assert match, self
        return match.group(1)


def clean_environment() -> dict[str, str]:
    """The environment of somebody who types a command: not that of a `make test` around it."""
    ours = ("MLFLOW_", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def copy_repository(folder: Path) -> None:
    """The repository as a commit of the present state would have it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for step in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*git, *step], check=True)


class Site:
    """A workspace in a folder of its own, with the repository's images and the tests' projects."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.within: tuple[str, ...] = ()
        """A program that runs its arguments: commands are given to it."""
        (root / "train_code").mkdir(parents=True)
        (root / "data").mkdir()
        (root / "trainer_images").symlink_to(REPOSITORY / "trainer_images")
        shutil.copytree(PROJECTS / "probe", root / "train_code" / "probe")
        shutil.copytree(REPOSITORY / "train_code" / "sklearn", root / "train_code" / "sklearn")
        (root / "trainer.yaml").write_text(f"server_port: {port}\n")
        (root / ".gitignore").write_text("secrets.env\n.trainer/\nmlruns/\n*.ignored\n")
        subprocess.run(["git", "init", "--quiet", root], check=True)
        self.secret("PROBE_TOKEN", CANARY)

    def own_images(self) -> None:
        """Have images that no other workspace uses, which a test may remove: a comment makes them others."""
        images = self.root / "trainer_images"
        images.unlink()
        shutil.copytree(REPOSITORY / "trainer_images", images, symlinks=True)
        with (images / "trainkit" / "trainkit" / "__init__.py").open("a") as file:
            file.write("# Removed by tests.\n")

    def secret(self, name: str, value: str) -> None:
        """Make secrets.env hold this one secret."""
        path = self.root / "secrets.env"
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        path.write_text(f"{name}='{quoted}'\n")
        path.chmod(0o600)

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `trainer ARGUMENTS` in the workspace."""
        environment = {**os.environ, **(env or {})}
        if not self.within:
            return forked.start(arguments, self.root, environment)
        return subprocess.Popen(
            [*self.within, sys.executable, "-m", "trainer", *arguments],
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def trainer(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 300
    ) -> Result:
        """Run `trainer ARGUMENTS` in the workspace."""
        process = self.start(*arguments, env=env)
        out, err = process.communicate(timeout=timeout_s)
        return Result(process.returncode, out, err)

    def until_ready(self, *arguments: str, project: str = "probe") -> subprocess.Popen[str]:
        """Start `trainer run …` and return when the script has printed "ready"."""
        process = self.start("run", project, *arguments)
        assert process.stdout
        for line in process.stdout:
            if line.strip() == "ready":
                return process
        raise AssertionError(process.communicate())

    def stop(self, process: subprocess.Popen[str], number: signal.Signals) -> tuple[Result, float]:
        """Send the signal; how the command ended, and how many seconds that took."""
        start = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        return Result(process.returncode, out, err), time.monotonic() - start

    @cached_property
    def access(self) -> dict[str, str]:
        """What `trainer env` prints; the server keeps address and password when it is started again."""
        self.trainer("server", "up", "--process")  # where containers of other workspaces reach it, too
        payload: dict[str, str] = json.loads(self.trainer("env", "--json").out)
        return payload

    @property
    def uri(self) -> str:
        """The address of the workspace's server."""
        return self.access["MLFLOW_TRACKING_URI"]

    @property
    def account(self) -> tuple[str, str]:
        """User name and password for it."""
        return self.access["MLFLOW_TRACKING_USERNAME"], self.access["MLFLOW_TRACKING_PASSWORD"]

    @property
    def entry(self) -> str:
        """The address with user name and password in it."""
        return self.uri.replace("://", "://{}:{}@".format(*self.account))

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's own client of the workspace's server."""
        return MlflowClient(self.entry)  # the variables would be those of all sites

    def run(self, run_id: str) -> Run:
        """The run as the server has it."""
        return self.client.get_run(run_id)

    def artifact(self, run_id: str, path: str, place: Path) -> Path:
        """An artifact of a run, downloaded."""
        return Path(self.client.download_artifacts(run_id, path, str(place)))

    def log(self, run_id: str, place: Path) -> str:
        """The run's stored output."""
        return self.artifact(run_id, "train.log", place).read_text()

    def runs(self) -> list[Run]:
        """All runs of all experiments."""
        client = self.client
        return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))

    def leftovers(self) -> list[str]:
        """What a finished run must not leave on this machine."""
        runs = self.root / ".trainer" / "runs"
        return [path.name for path in runs.iterdir()] if runs.exists() else []

    def left_behind(self) -> list[str]:
        """The same, at the end of a test; it goes, so that the next test is judged alone."""
        found = self.leftovers()
        for name in found:
            shutil.rmtree(self.root / ".trainer" / "runs" / name, ignore_errors=True)
        return found
