"""What every route has: the model, the bodies of requests, the figures."""

from __future__ import annotations

from dataclasses import dataclass

from trainkit.inference.predictor import Answers

from model_server.batching import Inputs
from model_server.body import Bodies
from model_server.metrics import Metrics
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
    problem: str = ""
    """Why another model that is asked for does not answer; empty where none is."""

    async def answers(self, served: Served, inputs: Inputs) -> Answers:
        """The model's answers, which are counted. Raises as `Served.answers` does."""
        answers = await served.answers(inputs)
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
