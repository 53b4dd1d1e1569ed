"""The same uneven trials, two at once, run by trainer, by Hydra and by `mlflow run`."""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.ratios import process
from bench.sweeping import projects
from bench.sweeping.projects import INSIDE, output
from bench.sweeping.trials import SLOTS, Searched, of_output, spent
from bench.workspaces import BIN, BenchWorkspace, environment

_HYDRA = ("hydra-core", "hydra-optuna-sweeper", "hydra-joblib-launcher")
_HYDRA_APP = """\
import subprocess
import sys

import hydra


@hydra.main(config_path=".", config_name="config", version_base=None)
def main(config):
    trial = [sys.executable, {script!r}, str(config.trial), str(config.scale)]
    done = subprocess.run(trial, capture_output=True, text=True, check=True)
    with open({said!r}, "a") as file:
        file.write(done.stdout)
    return -abs(config.trial - 7)


main()
"""
_HYDRA_CONFIG = """\
defaults:
  - _self_
  - override hydra/sweeper: optuna
  - override hydra/sweeper/sampler: grid
  - override hydra/launcher: joblib
trial: 0
scale: {scale}
hydra:
  mode: MULTIRUN
  sweeper:
    direction: maximize
    n_jobs: {slots}
    n_trials: {count}
    params:
      trial: choice({trials})
  launcher:
    n_jobs: {slots}
"""


@dataclass(frozen=True)
class Uneven:
    """A search of `count` uneven trials. `scale` multiplies their seconds."""

    place: BenchWorkspace
    scale: float
    count: int

    @property
    def _trials(self) -> str:
        return ",".join(map(str, range(self.count)))

    def trainer(self) -> Searched:
        """`trainer sweep` of a grid."""
        with spent() as taken:
            said = output(
                [BIN / "trainer", "sweep", projects.UNEVEN, "--new", "--search", f"trial={self._trials}",
                 "--sampler", "grid", "--metric", "score:maximize", "--parallel", str(SLOTS),
                 "-P", f"scale={self.scale}", "--json"],
                self.place.root, environment(),
            )  # fmt: skip
        ids = [str(trial["run_ids"][0]) for trial in json.loads(said)["trials"]]
        return Searched(of_output("".join(projects.logs(self.place, run_id) for run_id in ids)), taken)

    def mlflow(self) -> Searched:
        """An `mlflow run` for each, two at a time."""
        folder = self.place.root / "stock" / projects.UNEVEN
        variables = {**environment(), **self.place.access, "TMPDIR": str(self.place.root / "tmp")}

        def run(trial: int) -> str:
            values = ("-P", f"trial={trial}", "-P", f"scale={self.scale}")
            command = (BIN / "mlflow", "run", folder, "--experiment-name", "mlflow", "-A", "network=host",
                       "-A", f"user={os.getuid()}")  # fmt: skip
            return output([*command, *values], self.place.root, variables)

        with spent() as taken, ThreadPoolExecutor(SLOTS) as pool:
            said = list(pool.map(run, range(self.count)))
        return Searched(of_output("\n".join(said)), taken)


@dataclass(frozen=True)
class Hydra:
    """The same with Hydra's Optuna sweeper and joblib: it starts a process a trial, in no container, and
    tracks nothing.
    """

    folder: Path
    uneven: Uneven

    def install(self) -> None:
        """Into an environment of its own."""
        python = self.folder / "bin" / "python"
        process([BIN / "uv", "venv", "--quiet", "--python", sys.executable, self.folder])
        process([BIN / "uv", "pip", "install", "--quiet", "--python", python, *_HYDRA])

    def search(self) -> Searched:
        """All of it."""
        said, uneven = self.folder / "said", self.uneven
        said.unlink(missing_ok=True)
        script = str(INSIDE / "uneven.py")
        (self.folder / "app.py").write_text(_HYDRA_APP.format(script=script, said=str(said)))
        (self.folder / "config.yaml").write_text(
            _HYDRA_CONFIG.format(scale=uneven.scale, slots=SLOTS, count=uneven.count, trials=uneven._trials)
        )
        with spent() as taken:
            output([self.folder / "bin" / "python", "app.py"], self.folder, {})
        return Searched(of_output(said.read_text()), taken)
