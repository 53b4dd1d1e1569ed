"""How busy this machine's GPUs are, as nvidia-smi says it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trainer import subprocesses

QUERY = (
    "nvidia-smi",
    "--query-gpu=index,uuid,name,utilization.gpu,memory.used,memory.total",
    "--format=csv,noheader,nounits",
)
ALL = "all"
_MIB = 1 << 20


@dataclass(frozen=True)
class GpuUse:
    """One GPU now."""

    index: str
    uuid: str
    name: str
    busy: int | None
    """Percent of the time; None where the driver does not say, as of a divided one."""
    memory: int | None
    """Bytes in use."""
    total: int | None


def now() -> list[GpuUse]:
    """Of all of them; none where there is no nvidia-smi that answers."""
    return read(subprocesses.capture(QUERY) or "")


def read(answer: str) -> list[GpuUse]:
    """The answer to `QUERY`; lines that are something else are left out."""
    found = []
    for line in answer.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 6:
            index, uuid, name, busy, used, total = fields
            figures = [int(text) if text.isdecimal() else None for text in (busy, used, total)]
            memory, whole = (None if figure is None else figure * _MIB for figure in figures[1:])
            found.append(GpuUse(index, uuid, name, figures[0], memory, whole))
    return found


def of(names: Iterable[str], machine: Sequence[GpuUse]) -> list[GpuUse]:
    """Those of the machine that go by these numbers or UUIDs, whole or begun, or `all`."""
    wanted = tuple(names)
    if ALL in wanted:
        return list(machine)
    return [one for one in machine if any(_is(one, name) for name in wanted)]


def _is(one: GpuUse, name: str) -> bool:
    return name == one.index or (name.startswith("GPU-") and one.uuid.startswith(name))
