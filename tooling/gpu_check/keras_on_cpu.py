"""What a saved Keras model answers on the CPU, in a process that sees no card.

python -m gpu_check.keras_on_cpu MODEL PICTURES ANSWERS
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def answers(model: Path, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities by the .keras file, on this process's backend."""
    inputs, outputs = (model.with_name(f"{name}.npy") for name in ("pictures", "answers"))
    np.save(inputs, pictures)
    subprocess.run(
        [sys.executable, "-m", "gpu_check.keras_on_cpu", str(model), str(inputs), str(outputs)],
        env={**os.environ, "TRAINER_GPUS": "none", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""},
        check=True,
    )  # fmt: skip
    return np.asarray(np.load(outputs))


def _main(model: str, pictures: str, outputs: str) -> None:
    from trainkit.keras import settings  # noqa: F401 (before keras)

    # isort: split
    import keras

    np.save(outputs, keras.models.load_model(model, compile=False).predict(np.load(pictures), verbose=0))


if __name__ == "__main__":
    _main(*sys.argv[1:])
