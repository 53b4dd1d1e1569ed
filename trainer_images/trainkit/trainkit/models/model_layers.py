"""The layers of the model that a script has built: an artifact of its run, and what `trainer layers` shows.

For the latter the script is run up to this call, in a container, and no run is made.
"""

import json
import os
import sys
from typing import TYPE_CHECKING, TypedDict

import mlflow

from trainkit import run_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ARTIFACT = "layers.txt"


class Layer(TypedDict):
    """A layer. Its shape is of one sample; None where that is not known before the training.

    `inside` is the layer that it is a part of, which counts its parameters too; "" for those at the top.
    """

    name: str
    type: str
    inside: str
    output_shape: list[int | None] | None
    parameters: int
    trains: int
    """How many of the parameters are trained."""


class ModelLayers(TypedDict):
    """A model. `parameters` and `trains` are None where they come with the training, as in scikit-learn."""

    name: str
    framework: str
    parameters: int | None
    trains: int | None
    layers: list[Layer]


def are_asked_for() -> bool:
    """Whether this is no run, and ends when the layers are known."""
    return run_environment.LAYERS in os.environ


def log(model: object) -> None:
    """Print how large the model is, and log its layers to the active MLflow run as `layers.txt`.

    It is a model of Keras, PyTorch or scikit-learn, or a `trainkit.torch.network.Network`. Call it when all
    layers are there and nothing was trained: for `trainer layers PROJECT` the script ends here.
    """
    described = of(model)
    if mark := os.environ.get(run_environment.LAYERS):
        print(f"\n{mark}{json.dumps(described)}", flush=True)
        sys.exit()
    print(summary(described), flush=True)
    mlflow.log_text("\n".join(table(described["layers"])) + "\n", ARTIFACT)


def of(model: object) -> ModelLayers:
    """The layers of a model, by the framework that it is of. Raises `TypeError` for anything else."""
    # No framework is imported for this: one that is not imported has made no model.
    if (keras := sys.modules.get("keras")) and isinstance(model, keras.Model):
        from trainkit.keras import rows as keras_rows

        return keras_rows.of(model)
    if sys.modules.get("torch"):
        from trainkit.torch import rows as torch_rows

        if described := torch_rows.of(model):
            return described
    if (sklearn := sys.modules.get("sklearn.base")) and isinstance(model, sklearn.BaseEstimator):
        return _of_estimator(model)
    raise TypeError(f"{type(model).__name__} is no model of Keras, PyTorch or scikit-learn")


def summary(model: ModelLayers) -> str:
    """A line: the name, how many layers at the top, how many parameters."""
    count = sum(not layer["inside"] for layer in model["layers"])
    if model["parameters"] is None:
        return f"{model['name']}: {count} steps"
    frozen = f", {model['trains']:,} of them train" if model["trains"] != model["parameters"] else ""
    return f"{model['name']}: {count} layers, {model['parameters']:,} parameters{frozen}"


def shape(sizes: "Sequence[int | None] | None") -> str:
    """`32 x 32 x 16`; nothing where it is not known."""
    return "" if sizes is None else " x ".join("?" if size is None else str(size) for size in sizes)


def table(layers: "Sequence[Layer]") -> "Iterator[str]":
    """The layers as lines of text, those inside of others indented."""
    depths: dict[str, int] = {"": -1}
    rows = []
    for layer in layers:
        depth = depths.setdefault(layer["name"], depths[layer["inside"]] + 1)
        name = "  " * depth + layer["name"]
        rows.append((name, layer["type"], shape(layer["output_shape"]), f"{layer['parameters']:,}"))
    lines = [("layer", "type", "output shape", "parameters"), *rows]
    wide = [max(len(line[column]) for line in lines) for column in range(4)]
    for name, kind, sizes, parameters in lines:
        yield f"{name:<{wide[0]}}  {kind:<{wide[1]}}  {sizes:<{wide[2]}}  {parameters:>{wide[3]}}"


def _of_estimator(model: object) -> ModelLayers:
    """The steps of a pipeline, else the estimator itself."""
    steps = getattr(model, "steps", None) or [(type(model).__name__, model)]
    layers = [
        Layer(name=name, type=type(step).__name__, inside="", output_shape=None, parameters=0, trains=0)
        for name, step in steps
    ]
    return ModelLayers(
        name=type(model).__name__, framework="sklearn", parameters=None, trains=None, layers=layers
    )
