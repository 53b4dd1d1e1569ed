"""What the process of a sweep does while trials go on: how soon it stops one, and how much CPU it takes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from bench.sweeping import projects
from bench.sweeping.projects import output
from bench.sweeping.trials import SLOTS, said
from bench.workspaces import BIN, BenchWorkspace, environment

_GOOD = 5


def reactions(place: BenchWorkspace, count: int) -> list[float]:
    """Seconds from `log_metric` of a trial that is not promising to the signal that stops it."""
    places = range(_GOOD + count)
    tries = [word for place_ in places for word in ("--try", f"place={place_}")]
    swept = output(
        [BIN / "trainer", "sweep", projects.UNPROMISING, "--new", "--search", "place=int:0,99", *tries,
         "--trials", str(len(places)), "--metric", "score:maximize", "--pruner", "median",
         "--parallel", str(SLOTS), "--json"],
        place.root, environment(),
    )  # fmt: skip
    pruned = [trial for trial in json.loads(swept)["trials"] if trial["state"] == "pruned"]
    printed = "\n".join(projects.logs(place, trial["run_ids"][0]) for trial in pruned)
    return [times["stopped"] - times["logged"] for times in said(printed, "stopped")]


def cpu_share(place: BenchWorkspace, trials: int, seconds: float) -> float:
    """Of one core, of the process of a sweep of so many trials, while two go on and none begins or ends."""
    numbers = ",".join(map(str, range(trials)))
    process = subprocess.Popen(
        [BIN / "trainer", "sweep", projects.UNEVEN, "--new", "--search", f"trial={numbers}",
         "--sampler", "grid", "--metric", "score:maximize", "--parallel", str(SLOTS), "-P", "scale=100"],
        cwd=place.root, env={**os.environ, **environment()},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        started = 0
        for line in process.stderr or ():
            started += " started: " in line
            if started == SLOTS:
                break
        time.sleep(5)
        before = _cpu(process.pid)
        time.sleep(seconds)
        return (_cpu(process.pid) - before) / seconds
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def _cpu(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
