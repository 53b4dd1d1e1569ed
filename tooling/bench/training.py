"""What the parts of a training cost beside doing without: the feature cache, the input, and on a GPU speed.

    python tooling/bench/training.py [--json] [--record] [--image NAME]

It runs inside/feature_cache.py, a round of which takes minutes, and inside/training_step.py in the image,
which is built if it is not there. With `--image gpu`, on a machine with a GPU, mixed precision and XLA are
compared with plain Keras; otherwise it says so and leaves those figures out. It takes an engine
(TRAINER_BASE_IMAGE is respected) and a quarter of an hour.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from bench import naive
from bench.ratios import REPOSITORY, Figures, Goal, finish, median, options

WAYS = {
    "without": "frozen backbone, 10 epochs, computed in each",
    "cold": "the same with the feature cache",
    "again": "the same in a second run",
    "input_projects": "an epoch as the projects read their pixels",
    "input_held": "an epoch of one batch that is held in memory",
    "gpu_fast": "the same in mixed precision, with XLA",
}


@click.command(help=__doc__)
@options(rounds=5)
@click.option("--image", "name", default="tensorflow", show_default=True)
@click.option("--cache-rounds", default=3, show_default=True, help="Of the feature cache.")
@click.option("--tag", help="The image as it is, where it was built from something else.")
def main(rounds: int, name: str, cache_rounds: int, tag: str | None, *, as_json: bool, record: bool) -> None:
    """Print the table or JSON; exit with 1 where something saves less than is promised."""
    plan = naive.plan_of(name)
    if tag is None:
        naive.build_image(name)
    image = tag or plan.tag
    gpus = ["--gpus=all"] if plan.spec.gpu else []
    if not gpus:
        click.echo("no GPU here: the figures of mixed precision and XLA are left out (--image gpu)", err=True)
    cache = _in_image(image, gpus, "feature_cache.py", f"--rounds={cache_rounds}")
    step = _in_image(image, gpus, "training_step.py", f"--rounds={rounds}", *(_LARGE if gpus else ()))
    taken = {**_lists(cache["seconds"]), **_lists(step["seconds"])}
    busy = _numbers(step["input_busy"])
    cost = {variant: median(figures) for variant, figures in taken.items()}
    goals = [
        Goal("feature cache: times faster over 10 epochs", cost["without"] / cost["cold"], least=5),
        Goal("feature cache: times faster in a second run", cost["without"] / cost["again"], least=30),
        Goal("share of a step that waits for data", 1 - cost["input_held"] / cost["input_projects"]),
        Goal("share of an epoch that making its batches takes, in a thread of its own", median(busy)),
    ]
    if "gpu_fast" in cost:
        goals.append(Goal("mixed precision and XLA: times faster", cost["input_held"] / cost["gpu_fast"]))
        for variant, at_peak in _named(step["seconds_at_peak"]).items():
            goals.append(Goal(f"share of the card's peak: {WAYS[variant]}", at_peak / cost[variant]))
    finish(Figures("training", WAYS, taken, goals), as_json=as_json, record=record)


_LARGE = ("--images=4096", "--size=299", "--batch-size=64")


def _in_image(image: str, gpus: Sequence[str], script: str, *arguments: str) -> Mapping[str, object]:
    """What a script of this folder prints in its last line."""
    folder = Path(__file__).resolve().parent / "inside"
    done = subprocess.run(
        ["docker", "run", "--rm", "--init", "--network=none", "--shm-size=1g", *gpus,
         f"--volume={folder}:/bench:ro", f"--volume={REPOSITORY / 'train_code'}:/train_code:ro",
         "--env=TRAINER_CACHE_DIR=/tmp/cache", "--env=GIT_PYTHON_REFRESH=quiet", image,
         "python", f"/bench/{script}", *arguments],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    try:
        payload = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise click.ClickException(f"{script} ended with {done.returncode} in {image}") from None
    return payload if isinstance(payload, dict) else {}


def _numbers(payload: object) -> list[float]:
    return [float(figure) for figure in payload] if isinstance(payload, list) else []


def _named(payload: object) -> dict[str, float]:
    return (
        {str(variant): float(figure) for variant, figure in payload.items()}
        if isinstance(payload, dict)
        else {}
    )


def _lists(payload: object) -> dict[str, list[float]]:
    return (
        {str(variant): _numbers(figures) for variant, figures in payload.items()}
        if isinstance(payload, dict)
        else {}
    )


if __name__ == "__main__":
    main()
