"""Where a run finds its data and keeps what later runs can use again."""

import os
from pathlib import Path

from trainkit import run_environment


def dataset(name: str) -> Path:
    """The dataset (a folder or file) of that name in the workspace's data/ folder, which is read-only."""
    return Path(os.environ.get(run_environment.DATA_DIR, "data")) / name


def cache() -> Path:
    """A folder that outlives the run. Whatever is in it can be made again, and may be gone the next time."""
    return Path(os.environ.get(run_environment.CACHE_DIR, ".trainer/cache"))


def restarts() -> int:
    """How many times this run was resumed; 0 for a run that was not."""
    return int(os.environ.get(run_environment.RESTARTS, "0"))
