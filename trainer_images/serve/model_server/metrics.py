"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from model_server.shadow import ShadowFigures

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 256, 1024, 10_000)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Metrics:
    """Counted since the start."""

    registry: CollectorRegistry
    requests: Counter
    """By route and status."""
    seconds: Histogram
    """Of requests, by route."""
    batches: Histogram
    """Rows or images that the model was given at once."""
    predictions: Counter
    """By class; of a regression, the class is empty."""
    swaps: Counter
    """How often another model has taken the place of the one before."""
    degraded: Gauge
    """1 where another model is asked for than the one that answers, else 0."""
    info: Gauge
    shadow: ShadowFigures

    @classmethod
    def of(cls, waiting: Callable[[], float]) -> Metrics:
        """Those of a server; `waiting` is how many requests wait for its model now."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        gauge = Gauge("model_requests_waiting", "Requests that wait for the model.", registry=registry)
        gauge.set_function(waiting)
        return cls(
            registry,
            Counter("model_requests", "Requests.", ["route", "status"], registry=registry),
            Histogram(
                "model_request_seconds", "From the headers to the answer.", ["route"], buckets=_SECONDS,
                registry=registry,
            ),
            Histogram("model_batch_size", "Rows or images at once.", buckets=_SIZES, registry=registry),
            Counter("model_predictions", "Rows and images answered.", ["class"], registry=registry),
            Counter("model_swaps", "Models that took the place of another.", registry=registry),
            Gauge("model_degraded", "Whether another model is asked for.", registry=registry),
            Gauge(
                "model_info", "The model that is served.", ["name", "version", "model"], registry=registry
            ),
            ShadowFigures.of(registry),
        )  # fmt: skip

    def serve(self, name: str, version: str, model: str) -> None:
        """Name the model that answers from now on: as it is served, its SHA-256, what it is registered as."""
        self.info.clear()
        self.info.labels(name, version, model).set(1)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self.registry)
