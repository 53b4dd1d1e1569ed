"""What building an image costs: from nothing, with one requirement added, and when there is nothing to do.

    python tooling/bench/images.py [--json] [--record] [--image NAME]

The naive image is `pip install -r requirements.txt` of the same direct requirements with the whole of MLflow;
one more requirement costs it a build from nothing. Builds from nothing download everything, and use no cache
of other builds. With one requirement added, what is big is to be found in the cache: where it is not, the
figure would mean something else, and the benchmark ends. Of each build its slowest step is said, as a package
registry that answers late is seen in no other way. It takes an engine (TRAINER_BASE_IMAGE is respected), the
package registry and some minutes a round, in each of which one requirement is added twice.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from pathlib import Path

import click
from bench import naive
from bench.ratios import Figures, Goal, finish, median, options, process, process_and_log, take_turns

WAYS = {
    "inspect": "docker image inspect",
    "nothing": "trainer build-image, up to date",
    "cold": "trainer's image, from nothing",
    "added": "trainer's image, one requirement added",
    "naive": "naive image, from nothing",
}
OURS = "trainer-bench:ours"
BIG = "source=/first.txt"  # is in the step that installs what is big
ADDED = """\
tabulate==0.10.0 \\
    --hash=sha256:e2cfde8f79420f6deeffdeda9aaec3b6bc5abce947655d17ac662b126e48a60d \\
    --hash=sha256:f0b0622e567335c8fabaaa659f1b33bcb6ddfe2e496071b743aa113f8774f2d3
"""


@click.command(help=__doc__)
@options(rounds=3)
@click.option("--image", "name", default="sklearn", show_default=True)
def main(rounds: int, name: str, *, as_json: bool, record: bool) -> None:
    """Print the table or JSON; exit with 1 where a build costs more than is promised."""
    plan = naive.plan_of(name)
    with tempfile.TemporaryDirectory() as folder, naive.tags_removed(OURS, naive.TAG):
        context = Path(folder, "trainer_images")
        shutil.copytree(plan.spec.folder.parent, context, ignore=shutil.ignore_patterns("__pycache__"))
        command = plan.build_command(tags=(OURS,))
        command[-1:] = [naive.OWN_DOWNLOADS, str(context)]
        lock = context / name / "requirements.txt"
        content = lock.read_text()

        def cold() -> float:
            naive.remove(OURS)
            lock.write_text(content)
            seconds, log = process_and_log([*command, "--no-cache"])
            _say_slowest(log)
            return seconds

        def added() -> float:
            naive.remove(OURS)  # or it would stay without a name
            # What is added is another text each time: the last round's layer is not found.
            lock.write_text(f"{content}# {secrets.token_hex(4)}\n{ADDED}")
            seconds, log = process_and_log(command)
            _say_slowest(log)
            if any(took is not None for step, took in steps(log).items() if BIG in step):
                raise click.ClickException("What is big was installed again for a small one")
            return seconds

        naive.build_image(name)
        quick = take_turns(
            {
                "inspect": lambda: process(["docker", "image", "inspect", plan.tag]),
                "nothing": lambda: naive.build_image(name),
            },
            max(rounds, 7),
        )
        slow = take_turns(
            {"cold": cold, "added": added, "naive": lambda: naive.build(plan), "again": added}, rounds, warm=0
        )
        slow["added"] += slow.pop("again")
    taken = {**quick, **slow}
    cost = {variant: median(figures) for variant, figures in taken.items()}
    goals = [
        Goal("build-image with nothing to do, seconds", cost["nothing"], most=0.4),
        Goal("the same / docker image inspect", cost["nothing"] / cost["inspect"]),
        Goal("one requirement added / from nothing", cost["added"] / cost["cold"], most=0.2),
        Goal("one requirement added / the naive image's", cost["added"] / cost["naive"]),
        Goal("from nothing / the naive image from nothing", cost["cold"] / cost["naive"]),
    ]
    finish(Figures("images", WAYS, taken, goals), as_json=as_json, record=record)


def steps(log: str) -> dict[str, float | None]:
    """The seconds of each step of a build that says `--progress=plain`; None for one found in the cache."""
    names = dict(re.findall(r"^#(\d+) (\[.*)", log, re.MULTILINE))
    done = re.findall(r"^#(\d+) (?:CACHED|DONE ([\d.]+)s)$", log, re.MULTILINE)
    seconds_by_step: dict[str, float | None] = {}
    for number, took in done:
        if number in names and (
            took or names[number] not in seconds_by_step
        ):  # one that ran may be found afterwards
            seconds_by_step[names[number]] = float(took) if took else None
    return seconds_by_step


def _say_slowest(log: str) -> None:
    took, step = max((took or 0, step) for step, took in steps(log).items())
    click.echo(f"  slowest step, {took:.1f} s: {step[:160]}", err=True)


if __name__ == "__main__":
    main()
