"""What Prometheus is told of the log."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from model_server.prediction_log.log import PredictionLog


class LogFigures(Collector):
    """`prediction_log_errors_total` and `prediction_log_dropped_total`."""

    def __init__(self, log: PredictionLog) -> None:
        self._log = log

    def collect(self) -> Iterator[CounterMetricFamily]:
        """As they are now."""
        yield CounterMetricFamily(
            "prediction_log_errors", "Failed attempts to write the log.", self._log.errors
        )
        yield CounterMetricFamily(
            "prediction_log_dropped", "Answers that are not in the log.", self._log.dropped
        )
