"""What every route has: the model, the bodies of requests, the figures."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from trainkit.inference.predictor import Answers

from model_server.batching import Inputs
from model_server.body import Bodies
from model_server.metrics import Metrics
from model_server.prediction_log.log import Asked, NoLog, PredictionLog
from model_server.responses import labels
from model_server.served import Served


@dataclass
class Asking:
    """The model as requests ask it.

    A request takes `served` once, at its beginning: it may be another one a moment later.
    """

    served: Served
    bodies: Bodies
    metrics: Metrics
    log: PredictionLog = field(default_factory=NoLog)
    problem: str = ""
    """Why another model that is asked for does not answer; empty where none is."""

    async def answers(self, served: Served, inputs: Inputs, files: Sequence[bytes] = ()) -> Answers:
        """The model's answers, which are counted and logged. Raises as `Served.answers` does.

        `files` are those that images were decoded from, where they were sent as files.
        """
        began = time.perf_counter()
        answers = await served.answers(inputs)
        took_s = time.perf_counter() - began
        request = os.urandom(8).hex()
        self.log.record(Asked(time.time(), request, "champion", served, files or inputs, answers, took_s))
        for label in labels(served.predictor.description, answers):
            self.metrics.predictions.labels(label).inc()
        return answers

    def serve(self, served: Served) -> None:
        """Have another model answer the requests that begin from now on."""
        is_another = served.predictor.version != self.served.predictor.version
        self.served = served
        self.metrics.serve(served.name, served.predictor.version, served.entry.called)
        if is_another:
            self.metrics.swaps.inc()

    def report(self, problem: str) -> None:
        """Say in `/health` and in the figures what is wrong, or, with nothing, that nothing is."""
        self.problem = problem
        self.metrics.degraded.set(bool(problem))
