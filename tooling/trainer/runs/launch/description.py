"""The description of a run in the MLflow UI: how it was started, and what can be done with it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from trainer.plan.run_plan import RunPlan

_LENGTH = 8  # of the beginning of a run's id, as trainer prints it


def of(plan: RunPlan, parameters: Mapping[str, str], run_id: str) -> str:
    """In Markdown; `parameters` are those of the plan, masked."""
    command = shlex.join(_words(plan, parameters))
    fence = "```"
    while fence in command:
        fence += "`"
    short = run_id[:_LENGTH]
    return (
        f"{fence}sh\n{command}\n{fence}\n\n"
        f"Repeat it: `trainer reproduce {short}`. "
        f"Start another one like it: `trainer run --like {short}`. "
        f"Get its files: `trainer download {short}`."
    )


def _words(plan: RunPlan, parameters: Mapping[str, str]) -> list[str]:
    """The command that started it, with the values that its user chose."""
    if plan.code.again:
        return ["trainer", "reproduce", plan.code.again.run_id[:_LENGTH]]
    words = ["trainer", "run", plan.code.source.removeprefix("train_code/")]
    if plan.code.entry_point != "main":
        words += ["-e", plan.code.entry_point]
    for name, value in parameters.items():
        if plan.inputs.origins.get(name) == "command line":
            words += ["-P", f"{name}={value}"]
    return words
