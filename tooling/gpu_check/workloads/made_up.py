"""Made-up pictures, mapped from a file as a run's are, and the networks that learn them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from trainkit.data.image_data import Part

CLASSES = 4


def pictures(folder: Path, count: int, size: int) -> Part:
    """`count` pictures of random pixels whose class is the brightness of a corner."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    pixels = rng.integers(0, 128, (count, size, size, 3), dtype=np.uint8)
    pixels[:, : size // 2, : size // 2] += (labels * 30).astype(np.uint8)[:, None, None, None]
    path = folder / f"pixels-{count}-{size}.npy"
    np.save(path, pixels)
    return Part(np.load(path, mmap_mode="r"), np.arange(count), labels, ())
