"""The GPUs of a machine as `nvidia-smi` lists them, and whether somebody uses them.

A GPU that is divided (MIG) is not handed out, but each of its devices is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PROGRAM = "nvidia-smi"
_FIELDS = "uuid,memory.used,memory.free,display_active"
# What a container is asked: the list with the MIG devices, memory, and the processes that it may see.
QUERY = (
    "sh",
    "-ec",
    f"{_PROGRAM} -L; {_PROGRAM} --query-gpu={_FIELDS} --format=csv,noheader,nounits; "
    f"{_PROGRAM} --query-compute-apps=gpu_uuid --format=csv,noheader",
)
_GPU = re.compile(r"GPU (\d+): (.+) \(UUID: (GPU-[\w-]+)\)")
_MIG = re.compile(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[\w/-]+)\)")
_MEMORY = re.compile(r"(GPU-[\w-]+), ([^,]+), ([^,]+), (\w+)")
_PROCESS = re.compile(r"(?:GPU|MIG)-[\w/-]+")
# MiB that a driver, and a desktop, take though nothing is computed. The smallest CUDA context takes more.
_IDLE, _IDLE_WITH_DISPLAY = 64, 2048


@dataclass(frozen=True)
class Device:
    """What one run can have: a GPU, or a MIG device of one. Memory in MiB, None where it is not said."""

    uuid: str
    index: str
    """`0`; of a MIG device `0:1`, the second one of the first GPU."""
    name: str
    parent: str = ""
    """The UUID of the GPU that a MIG device is a part of."""
    used: int | None = None
    free: int | None = None
    is_computing: bool = False
    """Whether a process computes on it. Of another container's processes nothing is said."""
    has_display: bool = False

    @property
    def is_in_use(self) -> bool:
        """Whether somebody computes on it, as far as one can tell."""
        idle = _IDLE_WITH_DISPLAY if self.has_display else _IDLE
        return self.is_computing or (self.used or 0) > idle

    def is_named(self, text: str) -> bool:
        """Whether `--gpus device=TEXT` means it, or the GPU that it is a part of."""
        number = self.index.partition(":")[0]
        names = (self.uuid, self.parent)
        return text in (self.index, number) or any(name and name.startswith(text) for name in names)

    def __str__(self) -> str:
        """Its number and name."""
        return f"{self.index} ({self.name})"


def read(answer: str) -> tuple[Device, ...]:
    """The answer to `QUERY`; nothing for one that lists no GPU."""
    memory = {uuid: (used, free, display) for uuid, used, free, display in _MEMORY.findall(answer)}
    computing = {line for line in answer.splitlines() if _PROCESS.fullmatch(line)}
    listed = tuple(_listed(answer))
    divided = {device.parent for device in listed}
    found = []
    for device in listed:
        used, free, display = memory.get(device.uuid, ("", "", ""))
        seen = Device(
            device.uuid,
            device.index,
            device.name,
            device.parent,
            _number(used),
            _number(free),
            device.uuid in computing,
            display == "Enabled",
        )
        if device.uuid not in divided:
            found.append(seen)
    return tuple(found)


def _listed(answer: str) -> Iterator[Device]:
    number, parent = "", ""
    for line in answer.splitlines():
        if gpu := _GPU.fullmatch(line):
            number, parent = gpu[1], gpu[3]
            yield Device(parent, number, gpu[2])
        elif mig := _MIG.fullmatch(line):
            yield Device(mig[3], f"{number}:{mig[2]}", f"MIG {mig[1]}", parent)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
