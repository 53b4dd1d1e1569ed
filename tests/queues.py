"""The queue of a workspace as its user sees it, and a project that says when it ran."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from mlflow.entities import Run
from support import Site

_PROJECT = """\
name: stamp
docker_env: {image: trainer/sklearn}
entry_points:
  main:
    parameters:
      seconds: {type: float, default: 0.5}
      code: {type: int, default: 0}
    command: python stamp.py {seconds} {code}
"""
_SCRIPT = """\
import sys, time
import mlflow
with mlflow.start_run():
    mlflow.log_metric("began", time.time())
    print("the first version", flush=True)
    time.sleep(float(sys.argv[1]))
    mlflow.log_metric("ended", time.time())
sys.exit(int(sys.argv[2]))
"""
_PATIENCE_S = 240


def add_project(site: Site) -> Path:
    """Give the workspace the project `stamp`; its script."""
    project = site.root / "train_code" / "stamp"
    project.mkdir(exist_ok=True)
    (project / "MLproject").write_text(_PROJECT)
    (project / "stamp.py").write_text(_SCRIPT)
    return project / "stamp.py"


class Queue:
    """The queue of a workspace."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def add(self, *arguments: str) -> str:
        """Queue a run of the project; the entry's id."""
        done = self.site.trainer("run", "stamp", "--queue", "--json", *arguments)
        assert done.code == 0, done.err
        return str(json.loads(done.out)["entry"])

    def do(self, *arguments: str) -> str:
        """`trainer queue ARGUMENTS`."""
        done = self.site.trainer("queue", *arguments)
        assert done.code == 0, done.err
        return done.out

    def listed(self) -> dict[str, dict[str, object]]:
        """The entries that there are, by id."""
        return {each["entry"]: each for each in json.loads(self.do("list", "--json"))}

    def until(self, holds: Callable[[dict[str, dict[str, object]]], bool]) -> dict[str, dict[str, object]]:
        """Wait until that holds of the list."""
        give_up = time.monotonic() + _PATIENCE_S
        while not holds(listed := self.listed()):
            assert time.monotonic() < give_up, listed
            time.sleep(0.5)
        return listed

    def until_empty(self) -> None:
        """Wait until nothing is in it."""
        self.until(lambda listed: not listed)

    def run_of(self, entry: str) -> Run:
        """The run that an entry became which is gone."""
        lines = (self.site.root / ".trainer" / "queue" / "history.jsonl").read_text().splitlines()
        [run_id] = {each["run_id"] for each in map(json.loads, lines) if each["id"] == entry}
        give_up = time.monotonic() + 30
        while (run := self.site.run(run_id)).info.status == "RUNNING":  # it is being delivered
            assert time.monotonic() < give_up
            time.sleep(0.2)
        return run

    def attending(self) -> list[int]:
        """The processes that attend to this queue in the background."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if os.fsencode(self.site.root) in words and words[-3:-1] == [b"queue", b"attend"]:
                    found.append(int(path.parent.name))
        return found

    def kill(self) -> None:
        """Kill the processes that attend to it."""
        for number in self.attending():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)

    def close(self) -> None:
        """Leave nothing in it, and nothing that works on it."""
        self.do("pause")
        self.kill()
        self.site.trainer("stop", "--all")
        if waiting := [name for name, each in self.listed().items() if each["state"] in ("waiting", "held")]:
            self.do("cancel", *waiting)
        (self.site.root / ".trainer" / "queue" / "paused").unlink(missing_ok=True)
        give_up = time.monotonic() + 30
        while self.site.leftovers() and time.monotonic() < give_up:  # they are being delivered
            time.sleep(0.2)
