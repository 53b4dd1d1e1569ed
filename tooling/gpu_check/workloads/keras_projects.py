"""The Keras projects' networks for made-up pictures, as the projects train them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from unittest.mock import patch

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
import numpy as np
import yaml
from trainkit.keras import backbones, models, training

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
            network = models.small_cnn(size, CLASSES, augment=augment)
        else:
            base = models.pretrained(str(parameters.get("backbone", project)), size, "none", 0)
            backbones.unfreeze(base, str(parameters["unfreeze_from"]))
            head = models.head(base.output_shape[-1], CLASSES, float(str(parameters["dropout"])))
            network = models.transfer(base, head, augment=augment)
    training.compile_model(network, str(parameters["optimizer"]), float(str(parameters["learning_rate"])))
    return network


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
