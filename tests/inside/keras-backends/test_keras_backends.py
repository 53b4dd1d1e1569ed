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
# Runs a script, or code after -c, as if the other backends' frameworks were not installed: TensorFlow and
# PyTorch with CUDA may each bring an LLVM, and two in one process end it.
# A script's process dies when the checkpoint of epoch $DIES_AFTER is written.
RUNNER = """
import os, runpy, sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = {"tensorflow", "jax", "torch"} - {os.environ["KERAS_BACKEND"]}
        return None if name in absent else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
if sys.argv[1] == "-c":
    exec(sys.argv[2])
    sys.exit()
from trainkit.keras.checkpoints import Checkpoints
save = Checkpoints.save

def save_and_die(self, model, history):
    save(self, model, history)
    if str(history.last) == os.environ.get("DIES_AFTER"):
        os._exit(9)

Checkpoints.save = save_and_die
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# Loads each model that is named, and shows it noise; run on TensorFlow and on the backend that trained it.
ANSWERS = """
import sys
import mlflow, numpy as np
for place in sys.argv[3:]:
    model = mlflow.pyfunc.load_model(place)
    size = model.metadata.signature.inputs.inputs[0].shape[1]
    pictures = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), dtype=np.uint8)
    np.save(f"{place}/answers-{sys.modules['keras'].backend.backend()}.npy", model.predict(pictures))
"""


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

    def train(self, project: str, backend: str, run_id: str, **variables: str) -> int:
        """Run it as its MLproject does, and return its exit code; 9 for one that died."""
        entry = yaml.safe_load((PROJECTS / project / "MLproject").read_text())["entry_points"]["main"]
        values = {name: parameter["default"] for name, parameter in entry["parameters"].items()}
        values |= {"data": "colours", **SMALL[project]}
        _, script, *options = [word.format(**values) for word in entry["command"].split()]
        script = str(PROJECTS / project / script)
        done = self.python(backend, self.alone, script, *options, MLFLOW_RUN_ID=run_id, **variables)
        assert done.returncode in (0, 9), done.stdout + done.stderr
        return done.returncode

    @property
    def alone(self) -> str:
        """The script that runs another one, or code, where only its backend's framework is."""
        return f"{self.root}/runner.py"

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
def trained(lab: Lab) -> dict[str, dict[str, str]]:
    """By backend and project, the run of each, where the other backends' frameworks are absent."""
    runs = {backend: {project: lab.started() for project in SMALL} for backend in BACKENDS}
    for backend in BACKENDS:
        for project, run_id in runs[backend].items():
            assert lab.train(project, backend, run_id, TRAINER_DETERMINISTIC="1") == 0
    return runs


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_projects_train_where_only_their_backend_is(
    lab: Lab, trained: dict[str, dict[str, str]], backend: str
) -> None:
    for project, run_id in trained[backend].items():
        tags, metrics = lab.run(run_id).data.tags, lab.run(run_id).data.metrics
        assert {"loss", "val_loss", "validation_accuracy"} <= metrics.keys()
        assert all(map(math.isfinite, metrics.values())), metrics
        assert tags["keras_backend"] == backend
        assert tags[backend][0].isdigit()
        assert not (set(BACKENDS) - {backend}) & tags.keys()
        folder = model_of(lab, run_id)
        logged = yaml.safe_load((folder / "MLmodel").read_text())
        (taken,) = json.loads(logged["signature"]["inputs"])
        size = SMALL[project]["image_size"]
        assert taken["tensor-spec"] == {"dtype": "uint8", "shape": [-1, size, size, 3]}
        assert logged["metadata"] == {"class_names": ["blue", "green", "red"]}
        assert f"\n{backend}" in (folder / "requirements.txt").read_text()


def test_the_models_of_each_backend_predict_the_same_on_tensorflow(
    lab: Lab, trained: dict[str, dict[str, str]]
) -> None:
    folders = {
        backend: [model_of(lab, run_id) for run_id in runs.values()] for backend, runs in trained.items()
    }
    others = [*folders["jax"], *folders["torch"]]
    for backend, shown in (folders | {"tensorflow": others}).items():
        done = lab.python(backend, lab.alone, "-c", ANSWERS, *map(str, shown))
        assert done.returncode == 0, done.stderr
    for folder in others:
        theirs = np.load(folder / "answers-tensorflow.npy")
        (ours,) = (np.load(file) for file in folder.glob("answers-*") if "tensorflow" not in file.name)
        assert ours.shape == (8, 3)
        np.testing.assert_allclose(theirs, ours, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_training_that_died_goes_on_to_the_same_numbers(
    lab: Lab, trained: dict[str, dict[str, str]], backend: str
) -> None:
    resumed = lab.started()
    for epoch, code in (("1", 9), ("", 0)):
        variables = {"TRAINER_DETERMINISTIC": "1", "DIES_AFTER": epoch}
        assert lab.train("tensorflow", backend, resumed, **variables) == code
    ours, theirs = (lab.run(run).data.metrics for run in (resumed, trained[backend]["tensorflow"]))
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


def test_importing_trainkit_does_not_import_tensorflow_for_another_backend(lab: Lab) -> None:
    for backend in ("jax", "torch"):
        code = "import sys; from trainkit.keras import feature_cache, models, training; " \
               "print('tensorflow' in sys.modules)"  # fmt: skip
        assert lab.python(backend, "-c", code).stdout == "False\n"


@pytest.mark.parametrize(("backend", "framework"), [("jax", "JAX"), ("torch", "PyTorch")])
def test_the_backend_is_what_a_run_with_gpus_asks(lab: Lab, backend: str, framework: str) -> None:
    code = "from trainkit.keras import training; training.setup(0)"
    done = lab.python(backend, "-c", code, TRAINER_GPUS="all")
    assert f"{framework} sees no GPU, but the run was started with --gpus all." in done.stderr


def test_each_framework_says_what_it_was_built_for(lab: Lab) -> None:
    payload = json.loads(lab.python("jax", "-m", "trainkit.accelerator").stdout)
    assert [item["framework"].split()[0] for item in payload] == ["TensorFlow", "PyTorch", "JAX"]
    assert payload[2]["cuda"] is None  # its plugin for CUDA is not installed here
