"""The description of a run in the MLflow UI: how it was started, what came out, what can be done with it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence

from trainer.plan.run_plan import RunPlan
from trainer.tracking import metrics, search
from trainer.tracking.client import Run
from trainer.tracking.search import Point

_LENGTH = 8  # of the beginning of a run's id, as trainer prints it
_BEGIN, _END = "Scores: ", ".\n\n"
_LINK = "\n\n[All runs of the experiment]"


def of(plan: RunPlan, parameters: Mapping[str, str], run_id: str) -> str:
    """In Markdown; `parameters` are those of the plan, masked."""
    command = shlex.join(_words(plan, parameters))
    fence = "```"
    while fence in command:
        fence += "`"
    short = run_id[:_LENGTH]
    return (
        f"{fence}sh\n{command}\n{fence}{_trained_further(plan)}{_repeat(run_id)}"
        f"Start another one like it: `trainer run --like {short}`. "
        f"Get its files: `trainer download {short}`."
    )


def with_scores(
    note: str, run: Run, primary: str | None, curves: Mapping[str, Sequence[Point]], table: str | None
) -> str | None:
    """The description with a run's scores, those that it has curves of; None where it is not one of `of`'s.

    `table` is the address of the experiment's runs. What somebody else wrote in it is kept. The scores come
    first, in one line: of a long description the UI shows three.
    """
    start, repeat, end = note.partition(_repeat(run.id))
    if not repeat:
        return None
    scores = " · ".join(
        f"{_emphasized(name, name == primary)} {run.metrics[name]:.6g}{_best(name, run, points)}"
        for name, points in curves.items()
    )
    link = f"{_LINK}({table})" if table else ""
    before = start.partition(_END)[2] if start.startswith(_BEGIN) else start
    return f"{_BEGIN}{scores}{_END}{before}{repeat}{end.partition(_LINK)[0]}{link}"


def _trained_further(plan: RunPlan) -> str:
    warm = plan.inputs.warm_start
    return (
        f"\n\nIt trains the model of [a run]({warm.url}) further: `{warm.run_id[:_LENGTH]}`." if warm else ""
    )


def _repeat(run_id: str) -> str:
    return f"\n\nRepeat it: `trainer reproduce {run_id[:_LENGTH]}`. "


def _emphasized(name: str, primary: bool) -> str:
    return f"**{name}**" if primary else name


def _best(name: str, run: Run, curve: Sequence[Point]) -> str:
    """Empty where none is better than the last, and of a curve of which not every point is here."""
    direction = metrics.direction(name)
    points = [point for point in curve if not math.isnan(point.value)]
    if direction == 0 or not points or len(curve) >= search.POINTS:
        return ""
    best = max(points, key=lambda point: direction * point.value)
    return "" if best.value == run.metrics[name] else f" (best {best.value:.6g} at step {best.step})"


def _words(plan: RunPlan, parameters: Mapping[str, str]) -> list[str]:
    """The command that started it, with the values that its user chose."""
    if plan.code.again:
        return ["trainer", "reproduce", plan.code.again.run_id[:_LENGTH]]
    words = ["trainer", "run", plan.code.source.removeprefix("train_code/")]
    if plan.code.entry_point != "main":
        words += ["-e", plan.code.entry_point]
    if warm := plan.inputs.warm_start:
        words += ["--warm-start", warm.run_id[:_LENGTH]]
    for name, value in parameters.items():
        if plan.inputs.origins.get(name) == "command line":
            words += ["-P", f"{name}={value}"]
    return words
