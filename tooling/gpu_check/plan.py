"""The sections of a check in their order: what answers most comes first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Planned:
    """A section: the module in `sections/` whose `find` it calls, and for how many seconds at most."""

    name: str
    title: str
    module: str
    seconds: float


SECTIONS = (
    Planned("machine", "Machine", "machine", 30),
    Planned("smoke", "Smoke tests of the images", "smoke", 60),
    Planned("preflight", "Pre-flight", "preflight", 30),
    Planned("peak", "Matrix products", "peak", 30),
    Planned("pytorch_layers", "Training of `pytorch_layers`", "torch_training", 120),
    Planned("run", "A run on the local backend", "local_run", 120),
    Planned("memory", "Out of memory", "out_of_memory", 60),
    Planned("torch-same", "PyTorch: the same numbers", "torch_same", 90),
)
