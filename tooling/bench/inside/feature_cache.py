"""What the feature cache saves in the first phase of transfer learning: a head on a frozen InceptionV3.

    docker run --rm -v "$PWD/tooling/bench/inside:/bench:ro" -v "$PWD/train_code:/train_code:ro" \
        trainer/tensorflow python /bench/feature_cache.py

or with any Python that has TensorFlow and trainkit; training.py runs it in an image. It takes some minutes a
round and no network: the backbone's weights are random, the pictures are made up. Each way is a process of
its own, which loads the pictures and builds the backbone before its time starts; each round has a cache of
its own. Prints JSON: the seconds of each round.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from runpy import run_path

import click

# In the image both folders stand at the root, where ".." leads nowhere else.
TRAIN_PY = (Path(__file__).parent / "../../../train_code/inceptionv3/train.py").resolve()
WAYS = {
    "without": "no cache: the backbone in every epoch",
    "cold": "first run: features computed, then read",
    "again": "second run: features found",
}


@dataclass(frozen=True)
class Work:
    """What is trained on, and for how long."""

    images: int
    size: int
    epochs: int
    backbone: str


@click.command(help=__doc__)
@click.option("--images", default=160, show_default=True)
@click.option("--size", default=299, show_default=True, help="Pixels square.")
@click.option("--epochs", default=10, show_default=True)
@click.option("--backbone", default="inceptionv3", show_default=True)
@click.option("--rounds", default=1, show_default=True)
@click.option("--measure", "way", type=click.Choice(list(WAYS)), hidden=True)
def main(images: int, size: int, epochs: int, backbone: str, rounds: int, way: str | None) -> None:
    """Print the figures."""
    work = Work(images, size, epochs, backbone)
    if way:
        click.echo(f"\n{measure(way, work)}")
        return
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder, "data", "made-up"), work)
        for number in range(rounds):
            for way, seconds in taken.items():
                seconds.append(in_own_process(way, Path(folder), f"cache-{number}"))
                click.echo(f"round {number + 1} of {rounds}  {WAYS[way]}: {seconds[-1]:.3f}", err=True)
    click.echo(json.dumps({"seconds": taken}))


def draw(folder: Path, work: Work) -> None:
    """Four classes of noise."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(work.images):
        path = folder / "abcd"[number % 4]
        path.mkdir(parents=True, exist_ok=True)
        noise = random.integers(0, 256, (work.size, work.size, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path / f"{number}.png")


def in_own_process(variant: str, folder: Path, cache: str) -> float:
    """The seconds of one way, with the cache of that name in the folder."""
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--measure", variant],
        env={
            **os.environ,
            "TRAINER_DATA_DIR": str(folder / "data"),
            "TRAINER_CACHE_DIR": str(folder / cache),
            "MLFLOW_ALLOW_FILE_STORE": "true",
            "MLFLOW_TRACKING_URI": str(folder / "mlruns"),
        },
        stdout=subprocess.PIPE,  # the last line has the seconds, the others are for who watches
        text=True,
        check=True,
    )
    click.echo(done.stdout.strip(), err=True)
    return float(done.stdout.split()[-1])


def measure(variant: str, work: Work) -> float:
    """Seconds of the first phase, by the functions of train_code/inceptionv3/train.py."""
    import mlflow
    from trainkit import paths
    from trainkit.data import image_data
    from trainkit.keras import feature_cache, models, training

    project = run_path(str(TRAIN_PY))
    with mlflow.start_run():
        training.setup(0)
        data = image_data.load(paths.dataset("made-up"), work.size, 0.2, 0, paths.cache())
        base = models.pretrained(work.backbone, work.size, "none", 0)
        model = project["build_model"](base, len(data.class_names), 0.2, augment=False)
        schedule = training.Schedule(work.epochs, 16, 0, 0, "head")
        start = time.perf_counter()
        if variant == "without":
            learner = model
            samples = training.samples(data.train), training.samples(data.validation)
        else:
            learner = model.get_layer("head")
            origin = feature_cache.weights_key(work.backbone, "none", 0)
            samples = feature_cache.load(base, origin, data, paths.cache()).both(data, None)
        project["compile_model"](learner, "adam", 0.001)
        project["fit"](learner, samples, schedule)
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
