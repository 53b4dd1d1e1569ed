"""Another model in the place of the one that a container serves, which goes on where that cannot be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from trainer.engine import daemon
from trainer.serving import service, volume
from trainer.serving.container import Serving
from trainer.serving.volume import Model

if TYPE_CHECKING:
    from docker.models.containers import Container
    from trainkit.inference.serving_file import Refusal, ServingFile

Role = Literal["model", "shadow"]
_LOOK_S = 0.1
READY_S = 120


def replace(
    container: Container, serving: Serving, present: ServingFile, role: Role, model: Model
) -> ServingFile:
    """Have the model answer, or be the shadow, and return what is served then.

    Where the server cannot use it, the one before stays, and the serving file says why (`refused`).
    """
    from trainkit.inference.serving_file import Refusal

    with daemon.failures():
        there = {entry.file for entry in (present.model, present.shadow) if entry}
        wanted = present.model_copy(update={role: model.entry, "refused": _others(present, model.label)})
        volume.put(container, [] if model.entry.file in there else [model], wanted)
        if why := _problem(serving, role, model):
            return refuse(
                container, serving, present, Refusal(label=model.label, version=model.version or "", why=why)
            )
        volume.clean(container, wanted)
    return wanted


def refuse(container: Container, serving: Serving, present: ServingFile, refusal: Refusal) -> ServingFile:
    """Have the server say why it does not serve a version, with the command that would, and go on."""
    command = f"trainer serve {refusal.label} --name {serving.name} --port {serving.port}"
    command += "" if serving.attached else " --detach"
    hint = f" To serve it all the same: trainer serve stop {serving.name}, then {command}"
    told = refusal.model_copy(update={"why": refusal.why + hint})
    wanted = present.model_copy(update={"refused": (*_others(present, refusal.label), told)})
    with daemon.failures():
        volume.put(container, [], wanted)
        volume.clean(container, wanted)
    return wanted


def pardon(container: Container, present: ServingFile, label: str) -> ServingFile:
    """The alias points to what is served again."""
    wanted = present.model_copy(update={"refused": _others(present, label)})
    with daemon.failures():
        volume.put(container, [], wanted)
    return wanted


def _others(present: ServingFile, label: str) -> tuple[Refusal, ...]:
    return tuple(refusal for refusal in present.refused if refusal.label != label)


def _problem(serving: Serving, role: Role, model: Model) -> str:
    """Why the server does not use the model; nothing once it does."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        health = service.health(serving)
        if health and health[role] == model.called:
            return ""
        for reason in health["reason"].splitlines() if health else ():
            if reason.startswith(f"{model.called} is not served: "):
                return reason
        time.sleep(_LOOK_S)
    return f"{model.called} is not served: it was not ready after {READY_S} s."
