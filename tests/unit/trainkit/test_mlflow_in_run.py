"""In a Python of its own each, with the real MLflow: a script that chooses its own tracking server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY

IN_A_RUN = {"TRAINER_RUN_ID": "r1", "MLFLOW_RUN_ID": "r1", "MLFLOW_EXPERIMENT_ID": "7"}
CHOICES = """\
import os, subprocess, sys
os.environ["MLFLOW_TRACKING_URI"] = "http://me:hunter2@127.0.0.1:5000"
import mlflow
from mlflow.tracking import set_tracking_uri
set_tracking_uri("http://localhost:5000")
mlflow.set_tracking_uri("http://localhost:5000")
mlflow.set_tracking_uri(os.environ["SERVER"])
print(mlflow.get_tracking_uri(), os.environ["MLFLOW_TRACKING_URI"], os.environ.get("TRAINER_RUN_ID"))
os.environ.pop("MLFLOW_RUN_ID", None)  # as MLflow does in start_run()
if len(sys.argv) < 2:
    sys.exit(subprocess.run([sys.executable, __file__, "again"]).returncode)
"""
REASON = (
    "this run reports to the server that it was started with. "
    "To choose another: trainer run --tracking-uri URI."
)


@pytest.fixture
def python(tmp_path: Path) -> Python:
    (tmp_path / "sitecustomize.py").write_text("from trainkit.mlflow_in_run import watch\nwatch(); watch()\n")
    return Python(tmp_path)


class Python:
    def __init__(self, folder: Path) -> None:
        self.server = f"sqlite:///{folder}/db"
        self._folder = folder

    def runs(self, script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        (self._folder / "script.py").write_text(script)
        path = [str(self._folder), str(REPOSITORY / "trainer_images" / "trainkit")]
        return subprocess.run(
            [sys.executable, str(self._folder / "script.py")], cwd=self._folder, text=True,
            env={"PYTHONPATH": ":".join(path), "PATH": os.environ["PATH"], "SERVER": self.server,
                 "MLFLOW_TRACKING_URI": self.server, **environment},
            capture_output=True, check=True,
        )  # fmt: skip


def test_a_run_reports_to_its_server_whatever_its_script_says(python: Python) -> None:
    done = python.runs(CHOICES, IN_A_RUN)
    assert done.stdout == f"{python.server} {python.server} r1\n" * 2
    # Once, also of what the script starts.
    assert done.stderr == (
        f"Warning: The tracking URI http://127.0.0.1:5000 is not used: {REASON}\n"
        f"Warning: The tracking URI http://localhost:5000 is not used: {REASON}\n"
    )


def test_outside_of_a_run_a_script_chooses(python: Python) -> None:
    script = "import mlflow; mlflow.set_tracking_uri('file:/tmp/x'); print(mlflow.get_tracking_uri())"
    done = python.runs(script, {})
    assert (done.stdout, done.stderr) == ("file:/tmp/x\n", "")


def test_a_script_of_mlflows_name_is_left_alone(python: Python) -> None:
    (Path(python.server.removeprefix("sqlite:///")).parent / "mlflow.py").write_text("print('mine')\n")
    done = python.runs("import mlflow", IN_A_RUN)
    assert (done.stdout, done.stderr) == ("mine\n", "")
