"""What the benchmarks share: ways that take turns, their medians and spread, and ratios with their goals.

Seconds depend on the machine and on what else it does; ratios of what was taken in turns much less.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TypeVar

import click

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "benchmarks.md"
RECORD = PAGE.with_suffix(".json")
C = TypeVar("C", bound=Callable[..., object])


@dataclass(frozen=True)
class Goal:
    """A ratio and where it has to be; with neither limit it is only shown."""

    what: str
    ratio: float
    most: float | None = None
    least: float | None = None

    @property
    def is_reached(self) -> bool:
        """Whether the ratio keeps its limits."""
        return (self.most is None or self.ratio <= self.most) and (
            self.least is None or self.ratio >= self.least
        )

    @property
    def limit(self) -> str:
        """The limit in words."""
        limits = [("at most", self.most), ("at least", self.least)]
        return ", ".join(f"{word} {value:.3g}" for word, value in limits if value is not None)


@dataclass(frozen=True)
class Figures:
    """What a benchmark found: of each way what it is, and the figures of its rounds."""

    name: str
    ways: Mapping[str, str]
    taken: Mapping[str, Sequence[float]]
    goals: Sequence[Goal]
    unit: str = "seconds"
    machine: Mapping[str, str] = field(default_factory=lambda: machine())

    def table(self) -> list[tuple[str, ...]]:
        """Rows of the ways, the heading first."""
        rows: list[tuple[str, ...]] = [("", self.unit, "least", "most", "rounds")]
        for variant, taken in self.taken.items():
            figures = (median(taken), min(taken), max(taken))
            rows.append(
                (self.ways.get(variant, variant), *(f"{figure:.3g}" for figure in figures), str(len(taken)))
            )
        return rows

    def goal_table(self, earlier: Mapping[str, float]) -> list[tuple[str, ...]]:
        """Rows of the ratios, beside what they were before."""
        rows: list[tuple[str, ...]] = [("", "ratio", "must be", "", "before")]
        for goal in self.goals:
            before = f"{earlier[goal.what]:.3g}" if goal.what in earlier else ""
            reached = ("reached" if goal.is_reached else "missed") if goal.limit else ""
            rows.append((goal.what, f"{goal.ratio:.3g}", goal.limit, reached, before))
        return rows


def take_turns(
    variants: Mapping[str, Callable[[], float | None]], rounds: int, *, warm: int = 1
) -> dict[str, list[float]]:
    """The figures of each way, taken A B A B …, after `warm` rounds that do not count.

    A way returns its figure; of one that returns None it is the wall time in seconds.
    """
    taken: dict[str, list[float]] = {variant: [] for variant in variants}
    for number in range(-warm, rounds):
        for variant, do in variants.items():
            start = time.perf_counter()
            figure = do()
            took = time.perf_counter() - start if figure is None else figure
            if number >= 0:
                taken[variant].append(took)
            click.echo(f"round {max(number + 1, 0)} of {rounds}  {variant}: {took:.3f}", err=True)
    return taken


def median(taken: Sequence[float]) -> float:
    """What stands for all rounds."""
    return statistics.median(taken)


def process(
    command: Sequence[str | Path], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> float:
    """Wall seconds of a process, from its start to its end. One that fails ends the benchmark."""
    return process_and_log(command, cwd=cwd, environment=environment)[0]


def process_and_log(
    command: Sequence[str | Path], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> tuple[float, str]:
    """The same, and what the process said on stderr."""
    start = time.perf_counter()
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    took = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return took, done.stderr


def machine() -> dict[str, str]:
    """What the figures depend on."""
    cpu = re.search(r"model name\s*: (.*)", _text("/proc/cpuinfo"))
    memory = re.search(r"MemTotal:\s*(\d+)", _text("/proc/meminfo"))
    engine = _output(["docker", "version", "--format", "{{.Server.Version}}"])
    return {
        "date": date.today().isoformat(),
        "cpu": f"{os.cpu_count()} x {cpu[1] if cpu else platform.machine()}",
        "memory": f"{int(memory[1]) / 1e6:.0f} GB" if memory else "",
        "system": platform.platform(),
        "python": platform.python_version(),
        "engine": engine,
        "load": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
        "commit": _output(["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"]),
    }


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def options(rounds: int = 7) -> Callable[[C], C]:
    """Decorator: the options that every benchmark has; `finish` takes `--json` and `--record`."""

    def decorated(command: C) -> C:
        for option in (
            click.option(
                "--record",
                is_flag=True,
                help="Write the figures to docs/benchmarks.json and docs/benchmarks.md.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON."),
            click.option("--rounds", default=rounds, show_default=True, type=click.IntRange(1)),
        ):
            command = option(command)
        return command

    return decorated


def finish(figures: Figures, *, as_json: bool, record: bool) -> None:
    """Print the figures beside those recorded before, record them; exit with 1 if a goal is missed."""
    before = _recorded()
    earlier = before.get(figures.name, {}).get("ratios", {})
    if as_json:
        click.echo(json.dumps(_as_json(figures), indent=2))
    else:
        for rows in (figures.table(), figures.goal_table(earlier)):
            click.echo(_aligned(rows) + "\n")
    if record:
        RECORD.write_text(json.dumps({**before, figures.name: _as_json(figures)}, indent=2) + "\n")
        PAGE.write_text(_with_section(PAGE.read_text(), figures, earlier))
    sys.exit(0 if all(goal.is_reached for goal in figures.goals) else 1)


def _recorded() -> dict[str, dict[str, dict[str, float]]]:
    try:
        payload = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return {}
    return payload if isinstance(payload, dict) else {}


def _as_json(figures: Figures) -> dict[str, object]:
    return {
        "machine": dict(figures.machine),
        "unit": figures.unit,
        "taken": {
            variant: [round(figure, 4) for figure in taken] for variant, taken in figures.taken.items()
        },
        "ratios": {goal.what: round(goal.ratio, 4) for goal in figures.goals},
        "goals": [asdict(goal) for goal in figures.goals],
    }


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _with_section(page: str, figures: Figures, earlier: Mapping[str, float]) -> str:
    """The page with the tables between the marks of this benchmark, which are put at its end at first."""
    begin, end = f"<!-- {figures.name}: written by make bench -->", f"<!-- end of {figures.name} -->"
    facts = {name: value for name, value in figures.machine.items() if value}
    machine_line = "; ".join(f"{name} {value}" for name, value in facts.items())
    tables = "\n\n".join(_markdown(rows) for rows in (figures.table(), figures.goal_table(earlier)))
    section = f"{begin}\n{tables}\n\n{machine_line}.\n{end}"
    match = re.search(f"{re.escape(begin)}.*?{re.escape(end)}", page, re.DOTALL)
    if match is None:
        return f"{page.rstrip()}\n\n{section}\n"
    return page[: match.start()] + section + page[match.end() :]


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    heading, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join((heading, "|---" * len(rows[0]) + "|", *body))
