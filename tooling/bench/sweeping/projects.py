"""Projects of one script of inside/, and what the commands that run them print."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.workspaces import BIN, BenchWorkspace, environment

INSIDE = Path(__file__).parents[1] / "inside"
UNEVEN, UNPROMISING, SHORT = "bench-uneven", "bench-unpromising", "bench-short"
_MLPROJECT = """\
name: {name}
docker_env:
  image: {image}
{settings}\
entry_points:
  main:
    parameters:
{parameters}\
    command: "{command}"
"""
_UNEVEN = "      trial: {type: int, default: 0}\n      scale: {type: float, default: 1}\n"
_UNPROMISING = "      place: {type: int, default: 0}\n"
_SHORT = "      number: {type: int, default: 0}\n"
# What MLflow itself gives to a container, which is not the password.
_ACCESS = "  environment: [MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD]\n"


def make(place: BenchWorkspace) -> None:
    """Make all of them in the workspace."""
    _make(place.root / "train_code" / UNEVEN, "uneven.py", "trainer/sklearn", _UNEVEN, "{trial} {scale}")
    folder = place.root / "train_code" / UNPROMISING
    _make(folder, "unpromising.py", "trainer/sklearn", _UNPROMISING, "{place}")
    _make(place.root / "train_code" / SHORT, "short.py", "trainer/sklearn", _SHORT, "")
    place.commit()


def make_stock(place: BenchWorkspace) -> Path:
    """The uneven one for stock MLflow, which puts no code into the container: that is a volume."""
    folder = place.root / "stock" / UNEVEN
    settings = f'{_ACCESS}  volumes: ["{folder}:/code"]\n'
    _make(folder, "uneven.py", place.image, _UNEVEN, "{trial} {scale}", settings, "/code/")
    return folder


def _make(
    folder: Path, script: str, image: str, parameters: str, arguments: str, settings: str = "", at: str = ""
) -> None:
    folder.mkdir(parents=True)
    (folder / script).write_text((INSIDE / script).read_text())
    command = f"python {at}{script} {arguments}".rstrip()
    (folder / "MLproject").write_text(
        _MLPROJECT.format(
            name=folder.name, image=image, settings=settings, parameters=parameters, command=command
        )
    )


def logs(place: BenchWorkspace, run_id: str) -> str:
    """What a run has printed."""
    return output([BIN / "trainer", "logs", run_id], place.root, environment())


def output(command: Sequence[str | Path], folder: Path, variables: Mapping[str, str]) -> str:
    """What the command prints on stdout. One that fails ends the benchmark."""
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env={**os.environ, **variables},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
