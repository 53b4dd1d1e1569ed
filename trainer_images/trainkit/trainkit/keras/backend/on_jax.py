"""Keras on JAX."""

import os

import jax
import mlflow

from trainkit import accelerator
from trainkit.keras.backend.prefetch import Prefetched

FRAMEWORK = "JAX"
JIT_COMPILE = True  # without it, each operation is a call of its own

dataset: type[Prefetched] = Prefetched
log_model = mlflow.keras.log_model


def version() -> str:
    return str(jax.__version__)


def distribution() -> str:
    return "jax"


def take_gpus() -> list[str]:
    gpus = [device.device_kind for device in jax.devices() if device.platform == "gpu"]
    accelerator.require_gpus(FRAMEWORK, len(gpus))
    return gpus


def has_gpu() -> bool:
    return bool(jax.default_backend() == "gpu")


def make_deterministic() -> None:
    """Nothing is left to do: XLA was told when JAX was imported, see `trainkit.keras.settings`."""


def seed(seed: int) -> None:
    """Nothing: all layers draw from their states."""


def tags() -> dict[str, str]:
    return {"threads": os.environ["NPROC"]}
