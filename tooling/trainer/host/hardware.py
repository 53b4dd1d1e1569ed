"""What a machine is made of, as far as it decides what a training computes and how fast."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.host.gpu import Card

_CPU_KEYS = ("model name", "Model", "Hardware")  # x86, some ARM boards


@dataclass(frozen=True)
class Hardware:
    """The machine that a run is executed on. What cannot be learnt is empty or 0."""

    system: str
    """Kernel and architecture: `Linux-6.1.0-x86_64`."""
    cpu: str
    cpus: int
    memory: int
    """In bytes."""
    gpus: tuple[str, ...] = ()
    """Those that the run was given, by name, each with its driver."""

    @property
    def processors(self) -> str:
        """`8 x Intel(R) Xeon(R)`."""
        return f"{self.cpus} x {self.cpu or 'unknown CPU'}"


def this_machine(cards: Sequence[Card] = ()) -> Hardware:
    """Of this host, with the GPUs that a run gets of it."""
    return Hardware(
        system=f"{platform.system()}-{platform.release()}-{platform.machine()}",
        cpu=_cpu(),
        cpus=os.cpu_count() or 0,
        memory=_memory(),
        gpus=tuple(f"{card.name}, driver {card.driver}" for card in cards),
    )


def _cpu() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        key, _, value = line.partition(":")
        if key.strip() in _CPU_KEYS:
            return value.strip()
    return platform.processor()


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
