"""How big an image is, and how long a training in it takes to begin, beside the naive image.

    python tooling/bench/image_start.py [--json] [--record]

Taken is the time from `docker run` to the line after the imports of the sklearn project's train.py, of which
both images get those that both have; and the CPU time of the same, which depends less on what else runs.
A first round, which does not count, has both images' files in memory. It takes an engine (TRAINER_BASE_IMAGE
is respected), the package registry and some minutes.
"""

from __future__ import annotations

import ast
import subprocess
import time

import click
from bench import naive
from bench.ratios import REPOSITORY, Figures, Goal, finish, median, options, take_turns

WAYS = {
    "base": "the base, no imports",
    "ours": "trainer's image",
    "naive": "naive image",
    "ours_cpu": "trainer's image, CPU seconds",
    "naive_cpu": "naive image, CPU seconds",
}
TRAINING = REPOSITORY / "train_code" / "sklearn" / "train.py"


@click.command(help=__doc__)
@options()
@click.option("--ours", "tag", metavar="TAG", help="Trainer's image.  [default: today's sklearn]")
def main(rounds: int, tag: str | None, *, as_json: bool, record: bool) -> None:
    """Print the table or JSON; exit with 1 where the image is bigger or slower than is promised."""
    plan = naive.plan_of("sklearn")
    if tag is None:
        naive.build_image(plan.spec.name)
    ours = tag or plan.tag
    with naive.tags_removed(naive.TAG):
        naive.build(plan, no_cache=False)
        size = {image: _bytes(image) for image in (ours, naive.TAG)}
        taken = take_turns(
            {
                "base": lambda: _wall(plan.root_base, "import time"),
                "ours": lambda: _wall(ours, imports()),
                "naive": lambda: _wall(naive.TAG, imports()),
                "ours_cpu": lambda: start(ours, imports(), "time.process_time()"),
                "naive_cpu": lambda: start(naive.TAG, imports(), "time.process_time()"),
            },
            rounds,
        )
    cost = {variant: median(figures) for variant, figures in taken.items()}
    goals = [
        Goal("size of trainer's image / the naive one's", size[ours] / size[naive.TAG], most=0.8),
        Goal("size of trainer's image, MB", size[ours] / 1e6),
        Goal("size of the naive image, MB", size[naive.TAG] / 1e6),
        Goal("start to after the imports, trainer's / naive", cost["ours"] / cost["naive"], most=2 / 3),
        Goal("the same, CPU time", cost["ours_cpu"] / cost["naive_cpu"]),
    ]
    finish(Figures("image_start", WAYS, taken, goals), as_json=as_json, record=record)


def imports() -> str:
    """The import lines of the project's train.py, less those of what only trainer's images have."""
    lines = [
        node for node in ast.parse(TRAINING.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    code = "\n".join(map(ast.unparse, lines))
    return "\n".join(line for line in code.splitlines() if " trainkit" not in line) + "\nimport time"


def start(image: str, script: str, figure: str) -> float:
    """What a Python in a new container says after the script."""
    return float(
        subprocess.run(
            ["docker", "run", "--rm", "--init", "--network=none", image, "python3", "-c",
             f"{script}\nprint({figure})"],
            check=True, capture_output=True, text=True,
        ).stdout
    )  # fmt: skip


def _wall(image: str, script: str) -> float:
    """Seconds from the call of `docker run`. Containers have their host's clock."""
    begun = time.time()
    return start(image, script, "time.time()") - begun


def _bytes(image: str) -> int:
    output = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Size}}", image],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(output.stdout)


if __name__ == "__main__":
    main()
