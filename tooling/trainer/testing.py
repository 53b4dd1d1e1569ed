"""For the tests of projects: a run, as the command line makes it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FinishedRun:
    """A run that ended well."""

    id: str
    metrics: Mapping[str, float]
    """The last value of each."""


def run(project: Path, **parameters: str | int | float) -> FinishedRun:
    """Run the project in this folder of a workspace once, in the experiment `tests`.

    In a container where an engine answers, else on the local backend. Raises `AssertionError` for a run that
    does not end well; the output has been shown then.
    """
    command = [sys.executable, "-P", "-m", "trainer", "run", str(project), "--backend", "auto"]
    command += ["--experiment", "tests", "--json"]
    for name, value in parameters.items():
        command += ["-P", f"{name}={value}"]
    process = subprocess.run(command, cwd=project, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if process.returncode != 0:
        raise AssertionError(f"`trainer run {project.name}` ended with exit code {process.returncode}.")
    summary = json.loads(process.stdout)
    return FinishedRun(summary["run_id"], summary["metrics"])
