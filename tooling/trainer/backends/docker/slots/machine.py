"""What the engine's machine has, and which of its GPUs suit an image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trainer.engine import daemon
from trainer.engine.one_off import Output, run
from trainer.errors import GpuError
from trainer.host import gpu
from trainer.host.gpu import Card
from trainer.plan.run_plan import RunPlan
from trainer.slots import devices
from trainer.slots.choosing import Machine
from trainer.slots.devices import Device
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

_TRIES = 3


@dataclass(frozen=True)
class Suitable:
    """The GPUs that a run may be given: those that it names, or that the image can use."""

    cards: tuple[Card, ...] = ()
    unsuitable: frozenset[str] = frozenset()
    """The numbers of those that nobody is given who did not name them."""
    wanted: int = 0

    @property
    def expected(self) -> tuple[Card, ...]:
        """What the run gets where nobody else has any."""
        return tuple(card for card in self.cards if card.index not in self.unsuitable)[: self.wanted]


def suitable(client: docker.DockerClient, workspace: Workspace, plan: RunPlan) -> Suitable:
    """Compare the GPUs that a container of the image sees with what the image was built for.

    Raises `GpuError` where too few suit, or one of those that are named does not.
    """
    gpus, image = plan.resources.gpus, plan.image_reference
    output = _asked(client, image, gpu.QUERY)
    if output.code:
        raise _failed(gpus, output.err or output.out)
    named = gpus.removeprefix("device=") if gpus.startswith("device=") else None
    cards = gpu.chosen(gpus, gpu.cards(output.out), named)
    wanted = int(gpus) if gpus.isdecimal() else len(cards)
    if not plan.image.has_trainkit:  # nothing in it can be asked
        return Suitable(cards, wanted=wanted)
    known_as = plan.image_id.removeprefix("sha256:") or plan.image.digest
    remembered = workspace.state / "gpu" / f"{known_as}.json"
    built = gpu.built_for(remembered, lambda: run(client, image, gpu.BUILT_FOR).out)
    unsuitable: dict[str, GpuError] = {}
    for card in cards:
        try:
            # What is free of it now is looked at when it is claimed.
            gpu.check(plan.image.tag, built, [replace(card, free=card.total)], workspace.settings.gpu_free_gb)
        except GpuError as error:
            unsuitable[card.index] = error
    if unsuitable and len(cards) - len(unsuitable) < wanted:
        raise next(iter(unsuitable.values()))
    return Suitable(cards, frozenset(unsuitable), wanted)


def seen(client: docker.DockerClient, image_id: str) -> tuple[Device, ...]:
    """The GPUs of the machine, as a container of the image sees them. Raises `GpuError`."""
    output = _asked(client, image_id, devices.QUERY)
    if output.code:
        raise _failed("all", output.err or output.out)
    return devices.read(output.out)


def cpus(info: daemon.Info) -> tuple[int, ...]:
    """The numbers of its cores."""
    if not daemon.is_remote(daemon.endpoint()) and hasattr(os, "sched_getaffinity"):
        here = sorted(os.sched_getaffinity(0))
        if len(here) == info["NCPU"]:
            return tuple(here)
    return tuple(range(info["NCPU"]))


def of(
    info: daemon.Info,
    devices_: tuple[Device, ...] = (),
    least_free_gb: float = 0,
    unsuitable: frozenset[str] = frozenset(),
) -> Machine:
    """The machine, for whoever wants a part of it."""
    return Machine(devices_, cpus(info), info["MemTotal"], int(least_free_gb * 1024), unsuitable)


def _asked(client: docker.DockerClient, image: str, query: Sequence[str]) -> Output:
    """What it answers. nvidia-smi never succeeds and says nothing; a busy engine may lose what it says."""
    for _ in range(_TRIES):
        output = run(client, image, query, gpus="all")
        if output.code or output.out.strip():
            break
    return output


def _failed(gpus: str, said: str) -> GpuError:
    return GpuError(
        f"nvidia-smi failed in a container with --gpus {gpus}: {said.strip()}",
        f"Fix the driver or the container toolkit, {gpu.ON_PURPOSE}",
    )
