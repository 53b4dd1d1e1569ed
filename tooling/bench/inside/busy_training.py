"""A small training with one framework, which busy.py runs alone and beside other work.

Prints JSON: the wall seconds and the CPU seconds of the training, without what comes before it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np

RNG = np.random.default_rng(0)
IMAGES = RNG.random((1800, 8, 8, 1), dtype=np.float32)
LABELS = RNG.integers(0, 10, 1800)


def torch_epochs(count: int) -> None:
    """Epochs of a small convolutional network on 8x8 pixels: thousands of short parallel loops."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    convolutions = (nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU())
    model = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(2048, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters())
    pixels, labels = torch.from_numpy(IMAGES).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(LABELS)
    for start in [*range(0, 1800, 32)] * count:
        loss = nn.functional.cross_entropy(model(pixels[start : start + 32]), labels[start : start + 32])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def tensorflow_epochs(count: int) -> None:
    """The same network in Keras."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([layers.Conv2D(32, 3, padding="same", activation="relu"),
                              layers.Conv2D(32, 3, padding="same", activation="relu"), layers.Flatten(),
                              layers.Dense(128, "relu"), layers.Dense(10)])  # fmt: skip
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IMAGES, LABELS, batch_size=32, epochs=count, shuffle=False, verbose=0)


def sklearn_iterations(count: int) -> None:
    """Boosted trees, whose histograms are made in parallel."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    pixels = IMAGES.reshape(1800, 64)
    HistGradientBoostingClassifier(max_iter=count, early_stopping=False).fit(pixels, LABELS)


TRAININGS: dict[str, tuple[Callable[[int], None], int]] = {
    "torch": (torch_epochs, 3),
    "tensorflow": (tensorflow_epochs, 6),
    "sklearn": (sklearn_iterations, 10),
}


def main() -> None:
    """Once for what a first call costs, and once that counts."""
    train, count = TRAININGS[sys.argv[1]]
    train(1)
    wall, cpu = time.perf_counter(), time.process_time()
    train(count)
    times = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    sys.stdout.write(json.dumps(times) + "\n")


if __name__ == "__main__":
    main()
