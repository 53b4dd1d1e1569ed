"""What every route has: the model, the bodies of requests, the figures."""

from __future__ import annotations

from dataclasses import dataclass

from trainkit.inference.predictor import Answers

from model_server.batching import Inputs
from model_server.body import Bodies
from model_server.metrics import Metrics
from model_server.responses import labels
from model_server.served import Served


@dataclass(frozen=True)
class Asking:
    """The model as requests ask it."""

    served: Served
    bodies: Bodies
    metrics: Metrics

    async def answers(self, inputs: Inputs) -> Answers:
        """The model's answers, which are counted. Raises as `Served.answers` does."""
        answers = await self.served.answers(inputs)
        for label in labels(self.served.predictor.description, answers):
            self.metrics.predictions.labels(label).inc()
        return answers
