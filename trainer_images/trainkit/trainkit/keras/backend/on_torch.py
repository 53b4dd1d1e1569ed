"""Keras on PyTorch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import keras
import mlflow
import torch

from trainkit import accelerator
from trainkit.keras.backend.prefetch import Prefetched

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

FRAMEWORK = "PyTorch"
JIT_COMPILE = False  # as Keras has it: torch.compile takes long to begin with

dataset: type[Prefetched] = Prefetched


def version() -> str:
    return str(torch.__version__)


def distribution() -> str:
    return "torch"


def take_gpus() -> list[str]:
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    accelerator.require_gpus(FRAMEWORK, len(gpus))
    return gpus


def has_gpu() -> bool:
    return bool(torch.cuda.is_available())


def make_deterministic() -> None:
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def seed(seed: int) -> None:
    torch.manual_seed(seed)


def tags() -> dict[str, str]:
    return {"threads": str(torch.get_num_threads())}


def log_model(
    model: keras.Model,
    *,
    name: str,
    signature: "ModelSignature",
    pip_requirements: list[str],
    metadata: dict[str, object],
) -> None:
    # Keras would name PyTorch's own class of optimizer, which no other backend can load.
    with _uncompiled(model):
        mlflow.keras.log_model(
            model, name=name, signature=signature, pip_requirements=pip_requirements, metadata=metadata
        )


@contextmanager
def _uncompiled(model: keras.Model) -> Iterator[None]:
    compiled = [submodel for submodel in _models(model) if submodel.compiled]
    for submodel in compiled:
        submodel.compiled = False
    try:
        yield
    finally:
        for submodel in compiled:
            submodel.compiled = True


def _models(model: keras.Model) -> Iterator[keras.Model]:
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _models(layer)
