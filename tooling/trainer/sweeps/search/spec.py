"""What a sweep searches, and how: what its command line, and its file, come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from trainer.sweeps.search.objectives import Constraint, Objective
from trainer.sweeps.search.space import Dimension

Sampler: TypeAlias = Literal["tpe", "random", "grid", "qmc", "cmaes", "gp"]
Pruner: TypeAlias = Literal["none", "median", "asha", "hyperband"]


@dataclass(frozen=True)
class RunOptions:
    """The options of `trainer run` that every trial of a sweep has. None is that command's default."""

    backend: str | None = None
    image: str | None = None
    gpus: str | None = None
    cpus: int | None = None
    memory: str | None = None
    warm: bool | None = None
    """Whether trials are forked from an interpreter that has imported what they need; None: on the CPU."""
    experiment: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SweepSpec:
    """All of it. Values of parameters are texts, as a run is given them."""

    project: str
    """As it was typed: a name, a folder, a git URL."""
    dimensions: tuple[Dimension, ...]
    objectives: tuple[Objective, ...]
    trials: int | None = None
    """How many at most; None for a whole grid."""
    entry_point: str = "main"
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Those that all trials share."""
    constraints: tuple[Constraint, ...] = ()
    parallel: int = 1
    sampler: Sampler = "tpe"
    pruner: Pruner = "none"
    seed: int = 0
    timeout_s: float | None = None
    """After which no trial is begun, and those that run are stopped."""
    repeat: int = 1
    """How many runs, with seeds of their own, a trial has: it is judged by their mean."""
    tries: tuple[Mapping[str, str], ...] = ()
    """Configurations to begin with."""
    stop_after: int | None = None
    """So many trials without a better one end the sweep."""
    run_name: str | None = None
    """Of the parent run; None for one that the server generates."""
    options: RunOptions = field(default_factory=RunOptions)
