"""`trainer run --warm-start RUN`: a model begins with the weights of a finished run's, which was fetched."""

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from trainkit import run_environment
from trainkit.errors import InputError

Shapes = Iterable[tuple[str, tuple[int, ...]]]
"""The names and shapes of a model's weights, in order."""


def is_asked_for() -> bool:
    """Whether the run is to begin with another one's model."""
    return run_environment.WARM_START in os.environ


def load(
    model: object,
    class_names: Sequence[str] = (),
    columns: Sequence[str] = (),
    categories: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Give the model of Keras or PyTorch the weights of the earlier run's, if there is one; else do nothing.

    Call it when all layers are there, before the training. `class_names` are those of the data, in the order
    of the model's answers, `columns` those of a table's numbers and `categories` those that are embedded,
    by column. Raises `InputError` where the models have other layers, or the data other classes or columns.
    """
    if not is_asked_for():
        return
    path, run = _path(), os.environ[run_environment.WARM_START_RUN]
    if (keras := sys.modules.get("keras")) and isinstance(model, keras.Model):
        from trainkit.keras import earlier as earlier_keras

        names = earlier_keras.load(model, path)
    elif (torch := sys.modules.get("torch")) and isinstance(model, torch.nn.Module):
        from trainkit.torch import earlier as earlier_torch

        names = earlier_torch.load(model, path, columns, categories)
    else:
        raise InputError(
            f"A {type(model).__name__} cannot be trained further.", "--warm-start takes Keras and PyTorch."
        )
    if class_names and names and list(class_names) != list(names):
        raise InputError(
            f"The model of the run {run[:8]} was trained on the classes {_some(names)}; "
            f"those of the data are {_some(class_names)}.",
            "Give it data with the same classes.",
        )
    print(f"warm start: the weights of the run {run[:8]}", flush=True)


def digest() -> str:
    """SHA-256 of the files that the earlier model is made of."""
    path = _path()
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def check_shapes(ours: Shapes, theirs: Shapes) -> None:
    """Raise `InputError` naming the first weights that differ."""
    mine, others = list(ours), list(theirs)
    for (name, shape), (_, other) in zip(mine, others, strict=False):
        if shape != other:
            raise _misfit(f"{name} is {_text(shape)}, and was {_text(other)}")
    if len(mine) != len(others):
        raise _misfit(f"it has {len(mine)} weights, and had {len(others)}")


def misplaced(framework: str) -> InputError:
    """The error for an earlier model that is of another framework than this one."""
    return InputError(
        f"The model of the earlier run is not of {framework}, which this project is of.",
        "Name a run of this project, or of one like it.",
    )


def _misfit(difference: str) -> InputError:
    return InputError(
        f"The model has other layers than that of the earlier run: {difference}.",
        "Build it as that run did: with its parameters, and data with as many classes.",
    )


def _path() -> Path:
    return Path(os.environ[run_environment.WARM_START])


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
