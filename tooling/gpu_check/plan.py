"""The sections of a check in their order: what answers most comes first."""

from __future__ import annotations

from dataclasses import dataclass

KERAS_BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


@dataclass(frozen=True)
class PlannedSection:
    """A section: the module in `sections/` whose `find` it calls, and for how many seconds at most.

    `project` and `keras_backend` are those that it is about. Where `large` is set, it is left out of a small
    check: it would ask on another backend what other sections ask.
    """

    name: str
    title: str
    module: str
    seconds: float
    project: str = ""
    keras_backend: str = ""
    deterministic: bool = False
    large: bool = False


def _training(project: str, backend: str, seconds: float, *, large: bool = False) -> PlannedSection:
    title = f"Training of `{project}`: Keras on {KERAS_BACKENDS[backend]}"
    return PlannedSection(
        f"{project}-{backend}", title, "keras_training", seconds, project, backend, large=large
    )


def _same(backend: str, *, large: bool = False) -> PlannedSection:
    title = f"Keras on {KERAS_BACKENDS[backend]}: the same numbers"
    return PlannedSection(
        f"keras-same-{backend}", title, "keras_same", 60, "tensorflow", backend, True, large
    )


SECTIONS = (
    PlannedSection("machine", "Machine", "machine", 30),
    PlannedSection("smoke", "Smoke tests of the images", "smoke", 60),
    PlannedSection("preflight", "Pre-flight", "preflight", 30),
    PlannedSection("peak", "Matrix products", "peak", 30),
    PlannedSection("pytorch_layers", "Training of `pytorch_layers`", "torch_training", 120),
    PlannedSection("run", "A run on the local backend", "local_run", 120),
    PlannedSection("memory", "Out of memory", "out_of_memory", 60),
    PlannedSection("torch-same", "PyTorch: the same numbers", "torch_same", 90),
    _training("tensorflow", "jax", 75),
    _training("inceptionv3", "torch", 60),
    _training("efficientnetb0", "torch", 60),
    _same("jax"),
    _training("inceptionv3", "jax", 90, large=True),
    _training("efficientnetb0", "jax", 90, large=True),
    _same("torch", large=True),
    _training("tensorflow", "torch", 60, large=True),
)
