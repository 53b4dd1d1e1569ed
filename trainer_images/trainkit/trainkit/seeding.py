"""One seed for the random numbers of Python and NumPy, and what `trainer run` was told of repetition."""

import os
import random

import numpy as np

from trainkit import run_environment


def seed_everything(seed: int) -> None:
    """Seed Python's and NumPy's global generators (scikit-learn draws from NumPy's by default).

    `seed` is in 0 … 2**32 - 1. Two things stay outside its reach. The hashing of strings is salted before
    the first line of a script runs, so the order of a set of strings changes from run to run unless the
    environment sets PYTHONHASHSEED, as `trainer run` does. And the number of threads changes the order of
    sums, and with it the last bits of a result.
    """
    random.seed(seed)
    np.random.seed(seed)


def given_seed() -> int | None:
    """What `trainer run --seed` said, for scripts that take no seed as a parameter; None without it."""
    value = os.environ.get(run_environment.SEED)
    return None if value is None else int(value)


def is_deterministic() -> bool:
    """Whether `trainer run --deterministic` asks for operations that give the same numbers twice."""
    return os.environ.get(run_environment.DETERMINISTIC) == "1"
