"""What an entry needs of the machine while it runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from trainer.backends.base import Backend
from trainer.counted import counted
from trainer.errors import GpuError, InvalidInput
from trainer.host.gpu import ON_PURPOSE
from trainer.plan.limits import bytes_of
from trainer.plan.run_plan import RunPlan
from trainer.queue import entries
from trainer.queue.entries import Entry
from trainer.queue.folder import EntryFolder
from trainer.queue.order import Amounts, Waiting
from trainer.slots.need import Capacity, Need


def of(plan: RunPlan, backend: Backend, image_id: str) -> Need:
    """What a run of the plan needs that waits for its turn.

    One that asks for neither GPUs nor cores has all cores to itself: of several the next waits for the one
    before. Raises `InvalidInput` or `GpuError` for more than the machine has at all.
    """
    resources = plan.resources
    if resources.gpus != "none" and not backend.isolated:
        raise InvalidInput(
            f"--gpus {resources.gpus}: the {plan.backend} backend cannot keep a GPU for one run.",
            "Use the docker backend, or leave out --queue.",
        )
    capacity = backend.capacity(image_id if resources.gpus != "none" else "")
    is_modest = resources.gpus == "none" and resources.cpus is None
    need = Need(resources.gpus, len(capacity.cpus) if is_modest else resources.cpus, resources.memory)
    check(need, capacity)
    if is_modest:  # an engine may be unable to bind a run to cores
        backend.check(replace(plan, resources=replace(resources, cpus=need.cpus)))
    return need


def check(need: Need, capacity: Capacity) -> None:
    """Raises `InvalidInput` or `GpuError` for more than that."""
    if need.gpus.isdecimal() and int(need.gpus) > len(capacity.gpus):
        raise GpuError(
            f"--gpus {need.gpus}: the machine has {counted(len(capacity.gpus), 'GPU')}.",
            f"Ask for as many as there are, {ON_PURPOSE}",
        )
    if need.gpus != "none" and not capacity.gpus:
        raise GpuError(f"--gpus {need.gpus}: the machine has no GPU.", f"Queue it elsewhere, {ON_PURPOSE}")
    if need.cpus is not None and need.cpus > len(capacity.cpus):
        raise InvalidInput(
            f"--cpus {need.cpus}: the machine has {counted(len(capacity.cpus), 'core')}.",
            "Ask for fewer: it would wait for ever.",
        )
    if need.memory is not None and bytes_of(need.memory) > capacity.memory:
        raise InvalidInput(
            f"--memory {need.memory}: the machine has {capacity.memory / (1 << 30):.1f} GB.",
            "Ask for less: it would wait for ever.",
        )


def need(entry: Entry) -> Need:
    """That of an entry."""
    return Need(entry.gpus, entry.cpus, entry.memory)


def amounts(entry: Entry) -> Amounts:
    """As numbers that can be compared."""
    devices = entry.gpus.removeprefix("device=").split(",") if entry.gpus.startswith("device=") else []
    counted_ = float(entry.gpus) if entry.gpus.isdecimal() else float(len(devices))
    return Amounts(
        gpus=math.inf if entry.gpus == "all" else counted_,
        devices=frozenset(devices),
        cpus=entry.cpus or 0,
        memory=bytes_of(entry.memory) if entry.memory else 0,
    )


def waiting(entry: Entry, folder: EntryFolder) -> Waiting:
    """It as the rule of the order sees it."""
    place, passed = entries.place(folder), entries.passed(folder)
    return Waiting(entry.id, place.priority, place.position, amounts(entry), passed.times, passed.since)


def words(entry: Entry) -> str:
    """As people read it: `2 GPUs, 4 cores, 8g`."""
    return ", ".join(_words(entry))


def _words(entry: Entry) -> Iterator[str]:
    if entry.gpus.isdecimal():
        yield counted(int(entry.gpus), "GPU")
    elif entry.gpus == "all":
        yield "all GPUs"
    elif entry.gpus != "none":
        yield f"GPU {entry.gpus.removeprefix('device=')}"
    if entry.cpus is not None:
        yield counted(entry.cpus, "core")
    if entry.memory:
        yield entry.memory
