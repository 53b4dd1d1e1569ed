"""What a frozen backbone makes of every image, computed once and read again by all later runs.

A backbone that is not trained gives the same features in every epoch and in every run with the same images;
the layers after it learn from these in a fraction of the time. With random augmentation it sees other images
each epoch, and nothing can be kept.
"""

import hashlib
import json
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
import mlflow
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from trainkit import live
from trainkit.data import pixels
from trainkit.data.image_data import ImageData, Part
from trainkit.keras import backend as keras_backend
from trainkit.keras.architectures import BACKBONES, backbone
from trainkit.keras.training import Samples
from trainkit.models import warm_start
from trainkit.seeding import is_deterministic

# Raise it when the same backbone would be given other numbers: it is part of the key.
_PREPROCESSING = 1
# Of its own, because the size of a batch changes the last bits of the features.
_BATCH = 32


@dataclass(frozen=True)
class Features:
    """`array` is (n, d), float32: row i belongs to row i of the pixels of all images."""

    array: NDArray[np.float32]
    from_cache: bool

    def both(self, data: ImageData, weights: NDArray[np.float64] | None) -> tuple[Samples, Samples]:
        """What a head is trained on and judged by; `weights` are the classes' in training."""
        return self._samples(data.train, weights), self._samples(data.validation, None)

    def _samples(self, part: Part, weights: NDArray[np.float64] | None) -> Samples:
        return Samples(lambda positions: self.array[part.rows[positions]], part.labels, weights)


def load(base: keras.Model, weights: str, data: ImageData, cache: Path) -> Features:
    """The features of all images of `data` by `base` (made by `backbones.build`), from the cache if it can.

    `weights` says which weights `base` has, see `weights_key`. The active MLflow run gets the metric
    `seconds_features` and the tag `features`: "computed" or "from the cache".
    """
    start = time.perf_counter()
    folder = cache / "features"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{key(base, weights, data)}.npy"
    from_cache = file.exists()
    if from_cache:
        os.utime(file)  # so that what is used is not the oldest
    else:
        pixels.remove_stale(folder)
        unfinished = folder / f"{file.stem}.{uuid.uuid4().hex}.tmp"
        try:
            _compute(base, data, unfinished)
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
    array = np.load(file, mmap_mode="r")
    seconds = time.perf_counter() - start
    where = "from the cache" if from_cache else "computed"
    print(f"features   {seconds:7.2f} s  {where}", flush=True)
    mlflow.log_metric("seconds_features", seconds)
    mlflow.set_tag("features", where)
    return Features(array, from_cache)


def key(base: keras.Model, weights: str, data: ImageData) -> str:
    """32 hex digits that change with anything that the features depend on, and with nothing else."""
    backend = keras_backend.of_process()
    parts = {
        "images": [data.digests[image.path] for image in data.folder.images],
        "size": data.size,
        "pixels": pixels.RECIPE,
        "white": str(data.white),
        "backbone": base.name,
        "weights": weights,
        "preprocessing": _PREPROCESSING,
        "precision": keras.config.dtype_policy().name,
        "device": "GPU" if backend.has_gpu() else "CPU",
        "keras": keras.__version__,
        keras.backend.backend(): backend.version(),
    }
    if is_deterministic():
        # What another run has left may have other last bits.
        parts["deterministic"] = f"{backend.tags()['threads']} threads"
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def weights_key(name: str, weights: str, seed: int) -> str:
    """Which weights a backbone has: random ones follow from the seed, a file's from its content.

    With `trainer run --warm-start`, those of the earlier run, which may have trained them.
    """
    if warm_start.is_asked_for():
        return f"warm start {warm_start.digest()}"
    if weights == "none":
        return f"none {seed}"
    if weights == "imagenet":
        return f"imagenet {BACKBONES[name].weights_md5}"
    with Path(weights).open("rb") as file:
        return f"sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"


def _compute(base: keras.Model, data: ImageData, path: Path) -> None:
    inputs = keras.Input(base.input_shape[1:])
    extractor = keras.Model(inputs, base(backbone(base.name).preprocess(inputs)))
    all_pixels = data.train.all_pixels  # of every part
    total = len(all_pixels)
    array = open_memmap(path, mode="w+", dtype=np.float32, shape=(total, base.output_shape[-1]))
    starts = range(0, total, _BATCH)
    for start in live.counted(starts, len(starts), "batches"):
        end = min(start + _BATCH, total)
        # The last batch is filled up with its last image: for another size it would be compiled again.
        rows = np.arange(start, start + _BATCH).clip(max=total - 1)
        array[start:end] = extractor.predict_on_batch(all_pixels[rows])[: end - start]
    array.flush()
