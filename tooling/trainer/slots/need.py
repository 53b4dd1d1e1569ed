"""What a run asks for of a machine, what it gets of it, and what the machine has."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.errors import NoFreeSlot
from trainer.plan.run_plan import Resources

__all__ = ["Capacity", "Need", "NoFreeSlot", "Slot", "of"]


@dataclass(frozen=True)
class Need:
    """What a run asks for. A slot gives it that alone, for as long as the run has it."""

    gpus: str = "none"
    """As `--gpus` has it: none, all, a number, or device=0,1."""
    cpus: int | None = None
    """Cores of its own; None for all that there are, shared with others."""
    memory: str | None = None
    """Memory that is promised to nobody else, as Docker writes sizes: `8g`."""

    @property
    def is_nothing(self) -> bool:
        """Whether a run with this need has to wait for nobody."""
        return self.gpus == "none" and self.cpus is None and self.memory is None


@dataclass(frozen=True)
class Slot:
    """What one run has, and no other one meanwhile."""

    token: str
    gpus: tuple[str, ...] = ()
    """By their UUIDs."""
    cpus: str = ""
    """Numbers of cores, as `--cpuset-cpus` has them: `0-1,4`; empty for no cores of its own."""
    memory: str | None = None


@dataclass(frozen=True)
class Capacity:
    """What a machine has in all, whoever uses it now."""

    gpus: tuple[str, ...]
    """By their UUIDs. Where a GPU is divided, its MIG devices instead of it."""
    cpus: tuple[int, ...]
    """The numbers of the cores."""
    memory: int
    """In bytes."""


def of(resources: Resources) -> Need:
    """What a run of that plan asks for. Its memory is a limit, and reserves none."""
    return Need(resources.gpus, resources.cpus)
