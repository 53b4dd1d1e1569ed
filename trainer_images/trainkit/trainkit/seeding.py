"""One seed for the random numbers of Python and NumPy."""

import random

import numpy as np


def seed_everything(seed: int) -> None:
    """Seed Python's and NumPy's global generators (scikit-learn draws from NumPy's by default).

    `seed` is in 0 … 2**32 - 1. Two things stay outside its reach. The hashing of strings is salted before
    the first line of a script runs, so the order of a set of strings changes from run to run unless the
    environment sets PYTHONHASHSEED: sort before you depend on it. And the number of threads changes the
    order of sums, and with it the last bits of a result.
    """
    random.seed(seed)
    np.random.seed(seed)
