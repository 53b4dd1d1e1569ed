"""How long each step of a training takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow

from trainkit import live, paths


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Time the block, print its line, and log the metric `seconds_<step>` to the active MLflow run.

    The live line of `trainer run` shows the step meanwhile.

    A resumed run has a point for each of its starts. A block that raises is neither printed nor logged: half
    a step has no comparable time.
    """
    start = time.perf_counter()
    with live.doing(step):
        yield
    seconds = time.perf_counter() - start
    print(f"{step:<10} {seconds:7.2f} s", flush=True)
    mlflow.log_metric(f"seconds_{step}", seconds, step=paths.restarts())
