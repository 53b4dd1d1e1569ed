"""The Keras projects' networks for made-up pictures, as the projects train them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from math import prod
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from typing import Protocol, cast
from unittest.mock import patch

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
import numpy as np
import yaml
from trainkit.keras import backbones, models
from trainkit.keras.checkpoints import History
from trainkit.keras.training import Samples, Schedule

from gpu_check.workloads.made_up import CLASSES

_PROJECTS = Path(__file__).parents[3] / "train_code"


def model(project: str, size: int, precision: str, *, augment: bool = False) -> keras.Model:
    """The compiled network of a project, with the same weights each time.

    A backbone's last blocks are unfrozen, as in the project's second phase.
    """
    policies = {"float16": "mixed_float16", "bfloat16": "mixed_bfloat16"}
    keras.config.set_dtype_policy(policies.get(precision, "float32"))
    keras.utils.set_random_seed(0)
    parameters = _defaults(project)
    with _weights_by_numpy():
        if project == "tensorflow":
            network = _of(project).build_model(size, CLASSES, augment=augment)
        else:
            base = models.pretrained(str(parameters.get("backbone", project)), size, "none", 0)
            backbones.unfreeze(base, str(parameters["unfreeze_from"]))
            dropout = float(str(parameters["dropout"]))
            network = _of(project).build_model(base, CLASSES, dropout, augment=augment)
    learning_rate = float(str(parameters["learning_rate"]))
    _of("inceptionv3").compile_model(network, str(parameters["optimizer"]), learning_rate)
    return network


def fit(model: keras.Model, samples: tuple[Samples, Samples], schedule: Schedule) -> History:
    """Train a compiled model on the first samples, judged by the second, in the active MLflow run."""
    return _of("inceptionv3").fit(model, samples, schedule)


class _Project(Protocol):
    """What is taken from a train.py; `tensorflow` has the first alone."""

    def build_model(self, *arguments: object, augment: bool) -> keras.Model: ...

    def compile_model(self, model: keras.Model, optimizer: str, learning_rate: float) -> None: ...

    def fit(self, model: keras.Model, samples: tuple[Samples, Samples], schedule: Schedule) -> History: ...


@cache
def _of(project: str) -> _Project:
    return cast(_Project, SimpleNamespace(**run_path(str(_PROJECTS / project / "train.py"))))


def _defaults(project: str) -> dict[str, object]:
    """The defaults of the project's parameters."""
    document = yaml.safe_load((_PROJECTS / project / "MLproject").read_text())
    parameters = document["entry_points"]["main"]["parameters"]
    return {name: parameter.get("default") for name, parameter in parameters.items()}


@contextmanager
def _weights_by_numpy() -> Iterator[None]:
    """JAX compiles a generator of random numbers for each shape: a minute for a backbone."""
    numbers = np.random.default_rng(0)

    def drawn(_: object, shape: tuple[int, ...], dtype: str | None = None) -> object:
        scale = (2 / prod(shape[:-1])) ** 0.5
        return keras.ops.convert_to_tensor(scale * numbers.standard_normal(shape, np.float32), dtype)

    with patch.object(keras.initializers.VarianceScaling, "__call__", drawn):
        yield
