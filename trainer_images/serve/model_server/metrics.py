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

    @classmethod
    def of(cls, name: str, version: str, waiting: Callable[[], float]) -> Metrics:
        """Those of a model that is served; `waiting` is how many requests wait for it now."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        info = Gauge("model_info", "The model that is served.", ["name", "version"], registry=registry)
        info.labels(name, version).set(1)
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
        )  # fmt: skip

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self.registry)
