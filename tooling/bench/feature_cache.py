"""What the feature cache saves in the first phase of transfer learning: a head on a frozen InceptionV3.

    docker run --rm -v "$PWD/tooling/bench:/bench:ro" trainer/tensorflow python /bench/feature_cache.py

or with any Python that has TensorFlow and trainkit. It takes some minutes and no network: the backbone's
weights are random, the pictures are made up. Each way is a process of its own, which loads the pictures and
builds the backbone before its time starts. Below 5 times for a first run and 30 times for a second one it
exits with 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

LEAST = {"cold": 5, "again": 30}
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
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--images", default=160, show_default=True)
@click.option("--size", default=299, show_default=True, help="Pixels square.")
@click.option("--epochs", default=10, show_default=True)
@click.option("--backbone", default="inceptionv3", show_default=True)
@click.option("--measure", "way", type=click.Choice(list(WAYS)), hidden=True)
def main(as_json: bool, images: int, size: int, epochs: int, backbone: str, way: str | None) -> None:
    """Print the table or JSON; exit with 1 if the cache saves less than it should."""
    work = Work(images, size, epochs, backbone)
    if way:
        click.echo(f"\n{measure(way, work)}")
        return
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder, "data", "made-up"), work)
        seconds = {way: in_own_process(way, Path(folder)) for way in WAYS}
    ratios = {way: seconds["without"] / seconds[way] for way in LEAST}
    if as_json:
        figures = {"work": asdict(work), "seconds": seconds, "ratios": ratios, "least": LEAST}
        click.echo(json.dumps(figures))
    else:
        show(work, seconds, ratios)
    sys.exit(any(ratios[way] < LEAST[way] for way in LEAST))


def draw(folder: Path, work: Work) -> None:
    """Four classes of noise."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(work.images):
        place = folder / "abcd"[number % 4]
        place.mkdir(parents=True, exist_ok=True)
        noise = random.integers(0, 256, (work.size, work.size, 3), dtype=np.uint8)
        Image.fromarray(noise).save(place / f"{number}.png")


def in_own_process(way: str, folder: Path) -> float:
    """The seconds of one way. The folder keeps the cache."""
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--measure", way],
        env={
            **os.environ,
            "TRAINER_DATA_DIR": str(folder / "data"),
            "TRAINER_CACHE_DIR": str(folder / "cache"),
            "MLFLOW_ALLOW_FILE_STORE": "true",
            "MLFLOW_TRACKING_URI": str(folder / "mlruns"),
        },
        stdout=subprocess.PIPE,  # the last line has the seconds, the others are for who watches
        text=True,
        check=True,
    )
    click.echo(done.stdout.strip(), err=True)
    return float(done.stdout.split()[-1])


def measure(way: str, work: Work) -> float:
    """Seconds of the first phase, as train_code/inceptionv3/train.py has it."""
    import mlflow
    from trainkit import feature_cache, image_data, keras_models, keras_training, places

    with mlflow.start_run():
        keras_training.setup(0)
        data = image_data.load(places.dataset("made-up"), work.size, 0.2, 0, places.cache())
        base = keras_models.pretrained(work.backbone, work.size, "none", 0)
        head = keras_models.head(base.output_shape[-1], len(data.class_names), 0.2)
        model = keras_models.transfer(base, head, augment=False)
        schedule = keras_training.Schedule(work.epochs, 16, 0, 0, "head")
        start = time.perf_counter()
        if way == "without":
            learner = model
            samples = keras_training.samples(data.train), keras_training.samples(data.validation)
        else:
            learner = head
            origin = feature_cache.weights_key(work.backbone, "none", 0)
            samples = feature_cache.load(base, origin, data, places.cache()).both(data, None)
        keras_training.compile_model(learner, "adam", 0.001)
        keras_training.train(learner, *samples, schedule)
        return time.perf_counter() - start


def show(work: Work, seconds: dict[str, float], ratios: dict[str, float]) -> None:
    """Print the table."""
    click.echo(
        f"{work.backbone}, {work.images} images of {work.size} pixels, {work.epochs} epochs of the head"
    )
    click.echo(f"{'':40} {'seconds':>8} {'faster':>8} {'at least':>9}")
    for way, text in WAYS.items():
        last = f"{ratios[way]:7.1f}x {LEAST[way]:8}x" if way in LEAST else ""
        click.echo(f"{text:40} {seconds[way]:8.2f} {last}")


if __name__ == "__main__":
    main()
