"""The layers of the model that a project builds: its script is run up to there, in a container."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, cast

from trainkit import run_environment

from trainer.errors import InvalidInput, ScriptFailed
from trainer.plan import warm_start
from trainer.plan.consent import Permission
from trainer.plan.run_plan import RunPlan
from trainer.progress import Steps
from trainer.sessions import session
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainkit.models.model_layers import Layer, ModelLayers

_MANY = 20  # layers inside of another one
_SHOWN = 15  # lines of what a script printed that failed


def check(plan: RunPlan) -> None:
    """Raises `InvalidInput` for a project that would not stop when its model is there, but train it."""
    project = plan.code.project
    if not plan.image.has_trainkit:
        raise InvalidInput(
            f"{project} runs in {plan.image.tag}, which has no trainkit to read its layers with.",
            "Show them with a trainer image: --image NAME",
        )
    if not warm_start.calls(plan.code.folder, "model_layers.log"):
        raise InvalidInput(
            f"{project} does not say where its model is built, so its layers cannot be shown.",
            "Call model_layers.log(model) there: from trainkit.models import model_layers",
        )


def of(
    workspace: Workspace, plan: RunPlan, screen: Steps, allowed: Collection[Permission] = ()
) -> ModelLayers:
    """Build the model with the parameters of the plan. Nothing is trained, downloaded or logged.

    Raises `TrainerError` for what a run would be refused for, and `ScriptFailed` where the script ends early.
    """
    check(plan)
    mark = f"{run_environment.LAYERS}-{secrets.token_hex(8)} "
    ended = session.run(
        workspace,
        plan,
        plan.command,
        screen,
        terminal=None,
        begin=lambda: screen.step(f"Building the model of {plan.code.project}"),
        allowed=allowed,
        environment={run_environment.LAYERS: mark},
    )
    lines = ended.output.splitlines()
    for line in lines:
        if line.startswith(mark):
            return cast("ModelLayers", json.loads(line.removeprefix(mark)))
    raise _failed(plan, ended.code, [line for line in lines if line.strip()])


def at_a_glance(model: ModelLayers) -> list[Layer]:
    """Its layers without those inside of one that has many."""
    sizes = Counter(layer["inside"] for layer in model["layers"])
    hidden = {name for name, size in sizes.items() if name and size > _MANY}
    shown = []
    for layer in model["layers"]:
        if layer["inside"] in hidden:
            hidden.add(layer["name"])
        else:
            shown.append(layer)
    return shown


def _failed(plan: RunPlan, code: int, lines: list[str]) -> InvalidInput | ScriptFailed:
    if len(lines) > 1 and lines[-2].startswith("Error: ") and lines[-1].startswith("Hint: "):
        return InvalidInput(lines[-2].removeprefix("Error: "), lines[-1].removeprefix("Hint:").strip())
    if not code:
        return InvalidInput(
            f"The script of {plan.code.project} has ended without building a model.",
            "With these parameters it does not come to model_layers.log(model).",
        )
    return ScriptFailed(code, "It printed:\n" + "\n".join(lines[-_SHOWN:]))
