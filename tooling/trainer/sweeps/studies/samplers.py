"""Who says what is tried next, and who gives a trial up early: Optuna's samplers and pruners.

A sampler is made for each trial and seeded by the sweep's seed and the number of the trial. What it remembers
is in the study alone: so a sweep that was cut off goes on as it would have.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from trainer.errors import InvalidInput
from trainer.sweeps.search import space
from trainer.sweeps.search.domains import Choices, Domain
from trainer.sweeps.search.spec import SweepSpec

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

REMEMBERING = ("qmc", "cmaes")
"""Samplers that write into the study what they have sampled: the trials alone do not tell it."""

_PACKAGES = {"cmaes": "cmaes", "gp": "torch"}
"""What samplers import that trainer does not bring."""


def check(spec: SweepSpec) -> None:
    """Raises `InvalidInput` for a sampler that lacks its package, and for what does not go together."""
    package = _PACKAGES.get(spec.sampler)
    if package and importlib.util.find_spec(package) is None:
        raise InvalidInput(
            f"The sampler {spec.sampler} needs the package {package}, which is not installed.",
            f"Install it beside trainer (uv pip install {package}), or take --sampler tpe.",
        )
    if spec.sampler == "cmaes" and len(spec.objectives) > 1:
        raise InvalidInput("The sampler cmaes knows one objective.", "Take --sampler tpe, or one --metric.")
    if spec.pruner != "none" and len(spec.objectives) > 1:
        raise InvalidInput(
            f"The pruner {spec.pruner} judges a trial by one metric, and there are {len(spec.objectives)}.",
            "Take --pruner none, or one --metric.",
        )
    if spec.sampler != "grid":
        return
    if spec.pruner != "none":
        raise InvalidInput(
            "A grid is tried to the end at each of its points, which a pruner does not do.",
            "Take --pruner none, or another sampler.",
        )
    points = len(space.grid(spec.dimensions))
    if spec.trials is not None and spec.trials > points:
        raise InvalidInput(
            f"The grid has {points} points, and {spec.trials} trials are asked for.",
            f"Take --trials {points}, or leave it out.",
        )


def sampler(spec: SweepSpec, number: int) -> BaseSampler:
    """The one that says what the trial of this number is."""
    from optuna import samplers

    seed = int.from_bytes(hashlib.sha256(f"{spec.seed}/{number}".encode()).digest()[:4], "big")
    random = samplers.RandomSampler(seed=seed)
    made: Mapping[str, Callable[[], BaseSampler]] = {
        "tpe": lambda: samplers.TPESampler(seed=seed),
        "random": lambda: random,
        "grid": lambda: random,  # the points of a grid are enqueued, each when it is asked for
        # One sequence for all trials, so the seed of its scrambling is the sweep's.
        "qmc": lambda: samplers.QMCSampler(
            scramble=True, seed=spec.seed, independent_sampler=random, warn_independent_sampling=False
        ),
        "cmaes": lambda: samplers.CmaEsSampler(
            seed=seed, independent_sampler=random, warn_independent_sampling=False
        ),
        "gp": lambda: samplers.GPSampler(
            seed=seed, independent_sampler=random, warn_independent_sampling=False
        ),
    }
    with quiet():
        return made[spec.sampler]()


def pruner(spec: SweepSpec) -> BasePruner:
    """The one that says whether a trial goes on."""
    from optuna import pruners

    made: Mapping[str, Callable[[], BasePruner]] = {
        "none": pruners.NopPruner,
        "median": pruners.MedianPruner,
        "asha": pruners.SuccessiveHalvingPruner,
        "hyperband": pruners.HyperbandPruner,
    }
    with quiet():
        return made[spec.pruner]()


def value(domain: Domain, text: str) -> str | int | float:
    """What a run is given as this text, as Optuna has it."""
    if isinstance(domain, Choices):
        return text
    return int(text) if domain.whole else float(text)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No word of Optuna's on the terminal: what a user is to know of a sweep, the sweep says."""
    from optuna import logging

    logging.set_verbosity(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
