"""How long a training takes beside other work, with threads that wait for each other asleep and spinning.

    python tooling/bench/busy.py [--json] [--record] [--framework NAME] [--python FRAMEWORK=PATH]

A small training (inside/busy_training.py) alone, beside a process that keeps one core busy, and twice at the
same time, each with what `trainer run` sets (OMP_WAIT_POLICY=PASSIVE) and without. It runs in the images,
which are built if they are not there, or with a Python of this machine that has the framework.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import click
from bench import naive
from bench.ratios import Figures, Goal, finish, median, options, take_turns

IMAGES = {"torch": "pytorch", "tensorflow": "tensorflow", "sklearn": "sklearn"}
POLICIES = {"asleep": ["OMP_WAIT_POLICY=PASSIVE"], "spinning": []}  # the latter is OpenMP's own choice
SITUATIONS = ("alone", "beside a busy core", "two at once")
_BUSY = "while True: pass"


@click.command(help=__doc__)
@options(rounds=5)
@click.option(
    "--framework", "frameworks", multiple=True, type=click.Choice(list(IMAGES)), help="[default: all]"
)
@click.option("--python", "pythons", multiple=True, metavar="FRAMEWORK=PATH", help="Instead of the image.")
def main(
    rounds: int, frameworks: tuple[str, ...], pythons: tuple[str, ...], *, as_json: bool, record: bool
) -> None:
    """Print the table or JSON; exit with 1 where sleeping threads are slower."""
    own = dict(python.split("=", 1) for python in pythons)
    cases: dict[str, Callable[[], float | None]] = {}
    cpu: dict[str, list[float]] = {}
    for framework in frameworks or tuple(IMAGES):
        command = partial(_command, framework, own.get(framework))
        for situation in SITUATIONS:
            for policy in POLICIES:
                case = f"{framework}, {situation}, {policy}"
                cases[case] = partial(_train, command(POLICIES[policy]), situation, cpu.setdefault(case, []))
    taken = take_turns(cases, rounds, warm=0)
    goals = [
        Goal(f"{pair}: asleep / spinning", cost[0] / cost[1], most=1.2)
        for case in cases
        if case.endswith(", asleep")
        for pair in [case.removesuffix(", asleep")]
        for cost in [[median(taken[f"{pair}, {policy}"]) for policy in POLICIES]]
    ]
    goals += [
        Goal(f"{pair}: CPU seconds, asleep / spinning", cost[0] / cost[1])
        for pair in dict.fromkeys(case.rpartition(", ")[0] for case in cases)
        for cost in [[median(cpu[f"{pair}, {policy}"]) for policy in POLICIES]]
    ]
    finish(Figures("busy", {}, taken, goals), as_json=as_json, record=record)


def _command(framework: str, python: str | None, variables: list[str]) -> list[str]:
    script = Path(__file__).parent / "inside" / "busy_training.py"
    if python:
        return ["env", "-u", "OMP_WAIT_POLICY", *variables, python, str(script), framework]
    naive.build_image(IMAGES[framework])
    tag = naive.plan_of(IMAGES[framework]).tag
    settings = [f"--env={variable}" for variable in variables]
    return ["docker", "run", "--rm", "--init", "--network=none", *settings,
            f"--volume={script}:/training.py:ro", tag, "python", "/training.py", framework]  # fmt: skip


def _train(command: Sequence[str], situation: str, cpu: list[float]) -> float:
    """Wall seconds of the training, of the longer one of two; its CPU seconds are appended."""
    with _beside(situation):
        count = 2 if situation == "two at once" else 1
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(count)
        ]
        printed = [process.communicate()[0].decode().splitlines() for process in running]
    if not all(printed):
        raise click.ClickException(f"This ended without figures: {' '.join(command)}")
    results = [json.loads(lines[-1]) for lines in printed]
    cpu.append(max(result["cpu"] for result in results))
    return max(float(result["wall"]) for result in results)


@contextlib.contextmanager
def _beside(situation: str) -> Iterator[None]:
    if situation != "beside a busy core":
        yield
        return
    busy = subprocess.Popen([sys.executable, "-c", _BUSY])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


if __name__ == "__main__":
    main()
