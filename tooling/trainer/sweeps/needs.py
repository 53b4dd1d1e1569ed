"""What each trial of a sweep has of the machine for itself."""

from __future__ import annotations

from trainer.errors import InvalidInput
from trainer.plan.limits import bytes_of
from trainer.plan.run_plan import RunPlan
from trainer.slots.need import Capacity, Need
from trainer.sweeps.search.spec import SweepSpec


def of(spec: SweepSpec, plan: RunPlan, capacity: Capacity) -> Need:
    """Its GPUs, its share of the cores where several trials go on at once, its memory.

    Raises `InvalidInput` where the machine does not have that for all trials that are to go on at once. Its
    GPUs are looked at only where `capacity` knows of any.
    """
    cores, asked = len(capacity.cpus), plan.resources.cpus
    each = asked or max(1, cores // spec.parallel)
    at_once = "1 trial needs" if spec.parallel == 1 else f"{spec.parallel} trials at once need"
    if spec.parallel * each > cores:
        raise InvalidInput(
            f"{at_once} {spec.parallel * each} cores; this machine has {cores}.",
            f"--parallel {cores // each} at most." if each <= cores else f"--cpus {cores} at most.",
        )
    cpus = each if asked or spec.parallel > 1 else None
    gpus = plan.resources.gpus
    if spec.parallel > 1 and (gpus == "all" or gpus.startswith("device=")):
        raise InvalidInput(
            f"--gpus {gpus} is for one trial, and {spec.parallel} are to go on at once.",
            "Say how many GPUs each of them has: --gpus 1",
        )
    if gpus.isdecimal() and capacity.gpus and spec.parallel * int(gpus) > len(capacity.gpus):
        raise InvalidInput(
            f"{spec.parallel} trials at once need {spec.parallel * int(gpus)} GPUs; "
            f"this machine has {len(capacity.gpus)}.",
            f"--parallel {max(1, len(capacity.gpus) // int(gpus))} at most.",
        )
    memory = plan.resources.memory
    if memory and spec.parallel * bytes_of(memory) > capacity.memory:
        fits = capacity.memory // bytes_of(memory)
        raise InvalidInput(
            f"--memory {memory}: {at_once} {spec.parallel * int(memory[:-1])}{memory[-1]}; "
            f"this machine has {capacity.memory / (1 << 30):.1f} GB.",
            f"--parallel {fits} at most." if fits else "Use less, or a machine that has as much.",
        )
    return Need(gpus, cpus, memory)
