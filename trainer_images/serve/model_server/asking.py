"""What every route has: the model, the bodies of requests, the figures."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from trainkit.inference.predictor import Answers

from model_server.batching import Inputs
from model_server.body import Bodies
from model_server.metrics import Metrics
from model_server.prediction_log.log import Asked, NoLog, PredictionLog
from model_server.responses import labels
from model_server.served import Served
from model_server.shadow import Shadow


@dataclass
class Asking:
    """The model as requests ask it.

    A request takes `served` once, at its beginning: it may be another one a moment later.
    """

    served: Served
    bodies: Bodies
    metrics: Metrics
    log: PredictionLog = field(default_factory=NoLog)
    shadow: Shadow | None = None
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
        asked = Asked(time.time(), request, "champion", served, files or inputs, answers, took_s)
        self.log.record(asked)
        if self.shadow:
            self.shadow.ask(asked, inputs)
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

    def overshadow(self, served: Served | None) -> None:
        """Have another shadow asked from now on, or none."""
        present, figures = self.shadow, self.metrics.shadow
        if served and present and served.batcher is present.served.batcher:
            present.named(served)
        else:
            if present:
                present.close()
            waits = partial(_waiting, self)
            self.shadow = Shadow(served, figures, self.log, waits) if served else None
        figures.serve(served)

    def report(self, problem: str) -> None:
        """Say in `/health` and in the figures what is wrong, or, with nothing, that nothing is."""
        self.problem = problem
        self.metrics.degraded.set(bool(problem))


def _waiting(asking: Asking) -> int:
    return asking.served.batcher.waiting
