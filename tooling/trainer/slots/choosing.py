"""Which GPUs, cores and memory a run gets, of what nobody has. Nothing is asked or taken here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer.counted import counted
from trainer.errors import GpuError, InvalidInput, NoFreeSlot
from trainer.host import cores
from trainer.host.gpu import ON_PURPOSE
from trainer.plan.limits import bytes_of
from trainer.slots.devices import Device
from trainer.slots.need import Need, Slot

_WAIT = "`trainer ps --all` lists the runs of this machine: wait until one ends, or ask for less."


@dataclass(frozen=True)
class Machine:
    """What there is to have. Memory in bytes."""

    devices: tuple[Device, ...]
    cpus: tuple[int, ...]
    memory: int
    least_free: int = 0
    """MiB of a GPU's memory that have to be free."""
    unsuitable: frozenset[str] = frozenset()
    """The numbers of GPUs that the image cannot use: nobody is given one who did not name it."""


@dataclass(frozen=True)
class Holder:
    """Somebody who has something of it now. Memory in bytes."""

    who: str
    gpus: frozenset[str] = frozenset()
    cpus: frozenset[int] = frozenset()
    memory: int = 0


def choose(need: Need, machine: Machine, holders: Sequence[Holder], token: str) -> Slot:
    """What the need gets. Raises `NoFreeSlot` where too little is free.

    Raises `GpuError` and `InvalidInput` for more than the machine has.
    """
    gpus = _gpus(need, machine, holders)
    cpus = _cpus(need, machine, holders)
    _check_memory(need, machine, holders)
    return Slot(token, tuple(device.uuid for device in gpus), cores.written(cpus), need.memory)


def check_cpus(asked: int | None, there: int) -> None:
    """Raises `InvalidInput` for more cores than there are."""
    if asked is not None and asked > there:
        raise InvalidInput(
            f"--cpus {asked}: the machine has {counted(there, 'core')}.",
            "Use fewer, or a machine that has as many.",
        )


def conflicts(slot: Slot, memory: int, holders: Sequence[Holder]) -> bool:
    """Whether somebody has a part of it, or too little of the machine's memory (bytes) is not promised."""
    cpus = set(cores.read(slot.cpus))
    promised = sum(holder.memory for holder in holders) + bytes_of(slot.memory or "0k")
    return any(holder.gpus & set(slot.gpus) or holder.cpus & cpus for holder in holders) or (
        slot.memory is not None and promised > memory
    )


def _gpus(need: Need, machine: Machine, holders: Sequence[Holder]) -> list[Device]:
    if need.gpus == "none":
        return []
    if need.gpus.isdecimal():
        return _some(need, machine, holders)
    wanted = list(machine.devices)
    if need.gpus != "all":
        names = need.gpus.removeprefix("device=").split(",")
        if missing := [name for name in names if not any(d.is_named(name) for d in machine.devices)]:
            raise GpuError(
                f"--gpus {need.gpus}: this machine has no GPU {', '.join(missing)}; "
                f"it has {', '.join(device.index for device in machine.devices)}.",
                f"Choose of these (nvidia-smi -L lists them), {ON_PURPOSE}",
            )
        wanted = [device for device in machine.devices if any(map(device.is_named, names))]
    if not wanted:
        raise GpuError(f"--gpus {need.gpus}: nvidia-smi finds no GPU.", f"Look at the driver, {ON_PURPOSE}")
    if taken := _reasons(wanted, machine, holders):
        raise NoFreeSlot(f"--gpus {need.gpus}: {'; '.join(taken)}.", _WAIT)
    return wanted


def _some(need: Need, machine: Machine, holders: Sequence[Holder]) -> list[Device]:
    """As many as that, the first ones; a MIG device only for who wants one, since a process sees just one."""
    number = int(need.gpus)
    suitable = [device for device in machine.devices if device.index not in machine.unsuitable]
    usable = [device for device in suitable if not device.parent or number == 1]
    if len(usable) < number:
        parts = any(device.parent for device in suitable)
        raise GpuError(
            f"--gpus {need.gpus}: this machine has {counted(len(usable), 'GPU')} for the run"
            + (", and MIG devices, of which a process sees one." if parts else "."),
            f"Ask for as many as there are, {ON_PURPOSE}",
        )
    free = [device for device in usable if not _reasons([device], machine, holders)]
    if len(free) < number:
        raise NoFreeSlot(
            f"--gpus {need.gpus}: {len(free)} of {counted(len(usable), 'GPU')} free. "
            f"{'; '.join(_reasons(usable, machine, holders))}.",
            _WAIT,
        )
    return sorted(free, key=lambda device: bool(device.parent))[:number]


def _reasons(devices: Sequence[Device], machine: Machine, holders: Sequence[Holder]) -> list[str]:
    """Why these that are not to be had are not."""
    reasons = []
    for device in devices:
        has = [holder for holder in holders if device.uuid in holder.gpus or device.parent in holder.gpus]
        if has:
            reasons.append(f"GPU {device} is in use by {has[0].who}")
        elif device.is_in_use:
            used = f" ({device.used / 1024:.1f} GB)" if device.used and not device.is_computing else ""
            reasons.append(f"GPU {device} is in use by another program{used}")
        elif device.free is not None and device.free < machine.least_free:
            reasons.append(
                f"GPU {device} has {device.free / 1024:.1f} GB free, less than gpu_free_gb in trainer.yaml"
            )
    return reasons


def _cpus(need: Need, machine: Machine, holders: Sequence[Holder]) -> list[int]:
    if need.cpus is None:
        return []
    check_cpus(need.cpus, len(machine.cpus))
    taken = frozenset[int]().union(*(holder.cpus for holder in holders))
    free = [number for number in machine.cpus if number not in taken]
    if len(free) < need.cpus:
        raise NoFreeSlot(
            f"--cpus {need.cpus}: {len(free)} of {counted(len(machine.cpus), 'core')} free. "
            f"{_named(holders, lambda holder: bool(holder.cpus))}.",
            _WAIT,
        )
    return free[: need.cpus]


def _check_memory(need: Need, machine: Machine, holders: Sequence[Holder]) -> None:
    if need.memory is None:
        return
    if bytes_of(need.memory) > machine.memory:
        raise InvalidInput(
            f"--memory {need.memory}: the machine has {_gb(machine.memory)} GB.", "Ask for less."
        )
    free = machine.memory - sum(holder.memory for holder in holders)
    if bytes_of(need.memory) > free:
        raise NoFreeSlot(
            f"--memory {need.memory}: {_gb(max(free, 0))} of {_gb(machine.memory)} GB are free. "
            f"{_named(holders, lambda holder: bool(holder.memory))}.",
            _WAIT,
        )


def _gb(number: int) -> str:
    return f"{number / (1 << 30):.1f}"


def _named(holders: Sequence[Holder], has: Callable[[Holder], bool]) -> str:
    return f"In use by {', '.join(sorted({holder.who for holder in holders if has(holder)}))}"
