"""The Keras backend of this process, and settings that are read during imports: import this before Keras."""

import os
from difflib import get_close_matches
from importlib.util import find_spec

from trainkit import paths, run_environment, threads
from trainkit.errors import InputError, did_you_mean, show_input_errors
from trainkit.seeding import is_deterministic

BACKENDS = ("tensorflow", "jax", "torch")
"""The backends that can train, by the names that $KERAS_BACKEND takes. TensorFlow is the default."""


def _check(backend: str) -> None:
    """Raise `InputError` unless Keras and the backend are installed."""
    installed = [name for name in BACKENDS if find_spec(name)]
    has_keras = find_spec("keras") is not None
    if has_keras and backend in installed:
        return
    show_input_errors()  # the imports of a script come before what it calls
    if not has_keras:
        raise InputError(
            "Keras is not installed here.",
            "Use an image that has it, or add keras to the image's requirements.",
        )
    names = ", ".join(installed[:-1]) + " or " * (len(installed) > 1) + "".join(installed[-1:])
    hint = f"Set KERAS_BACKEND to {names}" if installed else "Use an image that has a backend"
    if backend not in BACKENDS:
        near = get_close_matches(backend.lower(), installed, 1)
        raise InputError(
            f"Keras cannot train on a backend called {backend} (KERAS_BACKEND).",
            did_you_mean(near[0]) if near else f"{hint}.",
        )
    raise InputError(
        f"The Keras backend {backend} is not installed here (KERAS_BACKEND).",
        f"{hint}, or add {backend} to the image's requirements.",
    )


def _set(backend: str, gpus: str | None) -> None:
    """Set what the backend's framework reads when it is imported; `gpus` are the run's, if it is one."""
    on_cpu = gpus == "none"
    defaults = {
        # A run with a GPU shows all of TensorFlow's messages: they say why a GPU cannot be used.
        "tensorflow": {"TF_CPP_MIN_LOG_LEVEL": "2"} if on_cpu or gpus is None else {},
        # As with TensorFlow, memory of a GPU is taken as it is needed, and a quota of CPU time is kept to.
        "jax": {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "NPROC": str(threads.of_tensorflow())}
        | ({"JAX_PLATFORMS": "cpu"} if on_cpu else {}),
        # What cuBLAS needs to be repeatable.
        "torch": {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"} | ({"CUDA_VISIBLE_DEVICES": ""} if on_cpu else {}),
    }
    for name, value in defaults[backend].items():
        os.environ.setdefault(name, value)
    if backend == "jax" and is_deterministic():
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


# Keras's own file of settings is in a cache that runs share: it does not choose for them.
os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND") or "tensorflow"
# Weights are downloaded once for all runs.
os.environ.setdefault("KERAS_HOME", str((paths.cache() / "keras").absolute()))
_check(os.environ["KERAS_BACKEND"])
_set(os.environ["KERAS_BACKEND"], os.environ.get(run_environment.GPUS))
