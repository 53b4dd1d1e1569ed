"""The Keras projects on each backend. Run in an image that has all three, without a network."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest
import yaml
from mlflow.entities import Run
from PIL import Image

PROJECTS = (Path(__file__).parent / "../../../train_code").resolve()
SMALL = {
    "tensorflow": {"epochs": 2, "image_size": 32, "augment": "yes"},
    "inceptionv3": {"epochs": 1, "image_size": 75, "weights": "none", "fine_tune_epochs": 0},
    "efficientnetb0": {
        "epochs": 1, "image_size": 32, "weights": "none", "unfreeze_from": "block7a", "fine_tune_epochs": 1,
        "class_weights": "yes",
    },
}  # fmt: skip
BACKENDS = ("tensorflow", "jax", "torch")
EXACT = ("loss", "accuracy", "val_loss", "val_accuracy", "validation_log_loss")
# Trains, each in turn, what the first argument says as JSON; then runs the code after it. The other backends'
# frameworks are as if they were not installed: TensorFlow and PyTorch with CUDA may each bring an LLVM, and
# two in one process end it. The process dies when the checkpoint of epoch "dies" of a training is written.
RUNNER = """
import json, os, runpy, sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = {"tensorflow", "jax", "torch"} - {os.environ["KERAS_BACKEND"]}
        return None if name in absent else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
from trainkit.keras.checkpoints import Checkpoints
save = Checkpoints.save

def save_and_die(self, model, history):
    save(self, model, history)
    if history.last == training["dies"]:
        os._exit(9)

Checkpoints.save = save_and_die
_, trainings, code, *arguments = sys.argv
for training in json.loads(trainings):
    os.environ["MLFLOW_RUN_ID"] = training["run"]
    sys.argv = training["command"]
    runpy.run_path(sys.argv[0], run_name="__main__")
exec(code)
"""
# Loads each model that is named, and shows it noise; run on TensorFlow and on the backend that trained it.
ANSWERS = """
import mlflow, numpy as np
for place in arguments:
    model = mlflow.pyfunc.load_model(place)
    size = model.metadata.signature.inputs.inputs[0].shape[1]
    pictures = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), dtype=np.uint8)
    np.save(f"{place}/answers-{sys.modules['keras'].backend.backend()}.npy", model.predict(pictures))
"""
Runs = dict[str, dict[str, str]]  # the id of each, by backend and project


@dataclass(frozen=True)
class Training:
    """A project's training as a run; its process is to die after an epoch if `dies` names one."""

    project: str
    run_id: str
    dies: int | None = None

    def job(self) -> dict[str, object]:
        """What its MLproject makes of it, for the runner."""
        entry = yaml.safe_load((PROJECTS / self.project / "MLproject").read_text())["entry_points"]["main"]
        values = {name: parameter["default"] for name, parameter in entry["parameters"].items()}
        values |= {"data": "colours", **SMALL[self.project]}
        _, script, *options = [word.format(**values) for word in entry["command"].split()]
        command = [str(PROJECTS / self.project / script), *options]
        return {"run": self.run_id, "command": command, "dies": self.dies}


@dataclass(frozen=True)
class Lab:
    """A folder with data/, cache/ and MLflow's files, in which scripts are run."""

    root: Path

    def python(self, backend: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        given = {**os.environ, "KERAS_BACKEND": backend, "TRAINER_DATA_DIR": f"{self.root}/data",
                 "TRAINER_CACHE_DIR": f"{self.root}/cache", "MLFLOW_ALLOW_FILE_STORE": "true",
                 "MLFLOW_TRACKING_URI": f"{self.root}/mlruns",
                 # XLA takes longer for these models on a CPU than their epoch does.
                 "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
                 "JAX_COMPILATION_CACHE_DIR": f"{self.root}/xla",
                 "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                 "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.root, env=given | variables,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def train(self, backend: str, trainings: list[Training], code: str = "", *arguments: str) -> int:
        """In one process, without the other backends' frameworks; then run the code.

        Returns the exit code; 9 for a process that died.
        """
        jobs = json.dumps([training.job() for training in trainings])
        runner = f"{self.root}/runner.py"
        done = self.python(backend, runner, jobs, code, *arguments, TRAINER_DETERMINISTIC="1")
        assert done.returncode in (0, 9), done.stdout + done.stderr
        return done.returncode

    def started(self) -> str:
        """The id of a new run."""
        client = mlflow.MlflowClient(f"{self.root}/mlruns")
        run = client.create_run("0")
        return str(run.info.run_id)

    def run(self, run_id: str) -> Run:
        return mlflow.MlflowClient(f"{self.root}/mlruns").get_run(run_id)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    root = tmp_path_factory.mktemp("lab")
    (root / "runner.py").write_text(RUNNER)
    random = np.random.default_rng(0)
    for name, colour in {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}.items():
        (root / "data" / "colours" / name).mkdir(parents=True)
        for number in range(5):
            picture = random.integers(60, 160, (48, 48, 3), dtype=np.uint8)
            picture[8:40, 8:40] = colour
            Image.fromarray(picture).save(root / "data" / "colours" / name / f"{number:02}.png")
    return Lab(root)


def model_of(lab: Lab, run_id: str) -> Path:
    """The folder of the model that a run logged."""
    (found,) = [
        file.parent
        for file in lab.root.glob("mlruns/*/models/*/artifacts/MLmodel")
        if yaml.safe_load(file.read_text())["run_id"] == run_id
    ]
    return found


@pytest.fixture(scope="module")
def trained(lab: Lab) -> Runs:
    """The run of each project; and under "died", another one of the first project that was cut off."""
    runs = {backend: {name: lab.started() for name in (*SMALL, "died")} for backend in BACKENDS}
    for backend, ids in runs.items():
        whole = [Training(project, ids[project]) for project in SMALL]
        assert lab.train(backend, [*whole, Training("tensorflow", ids["died"], dies=1)]) == 9
    return runs


@pytest.fixture(scope="module")
def resumed(lab: Lab, trained: Runs) -> Runs:
    """The same after those that died went on, and models have answered: see ANSWERS."""
    models = {
        backend: [str(model_of(lab, ids[project])) for project in SMALL] for backend, ids in trained.items()
    }
    for backend, shown in (models | {"tensorflow": [*models["jax"], *models["torch"]]}).items():
        assert lab.train(backend, [Training("tensorflow", trained[backend]["died"])], ANSWERS, *shown) == 0
    return trained


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_projects_train_where_only_their_backend_is(lab: Lab, trained: Runs, backend: str) -> None:
    for project in SMALL:
        run_id = trained[backend][project]
        tags, metrics = lab.run(run_id).data.tags, lab.run(run_id).data.metrics
        assert {"loss", "val_loss", "validation_accuracy"} <= metrics.keys()
        assert all(map(math.isfinite, metrics.values())), metrics
        assert tags["keras_backend"] == backend
        assert tags[f"mlflow.trainer.{backend}"][0].isdigit()
        assert not {f"mlflow.trainer.{name}" for name in BACKENDS if name != backend} & tags.keys()
        folder = model_of(lab, run_id)
        logged = yaml.safe_load((folder / "MLmodel").read_text())
        (taken,) = json.loads(logged["signature"]["inputs"])
        size = SMALL[project]["image_size"]
        assert taken["tensor-spec"] == {"dtype": "uint8", "shape": [-1, size, size, 3]}
        assert logged["metadata"] == {"class_names": ["blue", "green", "red"]}
        assert f"\n{backend}" in (folder / "requirements.txt").read_text()


def test_the_models_of_each_backend_predict_the_same_on_tensorflow(lab: Lab, resumed: Runs) -> None:
    for backend in ("jax", "torch"):
        for project in SMALL:
            folder = model_of(lab, resumed[backend][project])
            theirs, ours = (np.load(folder / f"answers-{name}.npy") for name in ("tensorflow", backend))
            assert ours.shape == (8, 3)
            np.testing.assert_allclose(theirs, ours, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_training_that_died_goes_on_to_the_same_numbers(lab: Lab, resumed: Runs, backend: str) -> None:
    ours, theirs = (lab.run(resumed[backend][name]).data.metrics for name in ("died", "tensorflow"))
    assert {name: ours[name] for name in EXACT} == {name: theirs[name] for name in EXACT}


def test_an_unknown_backend_is_two_lines_that_name_the_one_that_was_meant(lab: Lab) -> None:
    script = str(PROJECTS / "tensorflow" / "train.py")
    hints = {
        "mxnet": "Set KERAS_BACKEND to tensorflow, jax or torch.",
        "pytorch": "Did you mean torch?",
        "TensorFlow": "Did you mean tensorflow?",
    }
    for name, hint in hints.items():
        done = lab.python(name, script)
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"Error: Keras cannot train on a backend called {name} (KERAS_BACKEND).", f"Hint:  {hint}",
        ]  # fmt: skip


@pytest.mark.parametrize(("backend", "framework"), [("jax", "JAX"), ("torch", "PyTorch")])
def test_tensorflow_is_not_imported_for_another_backend_which_is_asked_for_its_gpus(
    lab: Lab, backend: str, framework: str
) -> None:
    code = "import sys; from trainkit.keras import feature_cache, models, training; " \
           "print('tensorflow' in sys.modules); training.setup(0)"  # fmt: skip
    done = lab.python(backend, "-c", code, TRAINER_GPUS="all")
    assert done.stdout == "False\n"
    assert f"{framework} sees no GPU, but the run was started with --gpus all." in done.stderr


def test_each_framework_says_what_it_was_built_for(lab: Lab) -> None:
    payload = json.loads(lab.python("jax", "-m", "trainkit.accelerator").stdout)
    assert [item["framework"].split()[0] for item in payload] == ["TensorFlow", "PyTorch", "JAX"]
    assert payload[2]["cuda"] is None  # its plugin for CUDA is not installed here
