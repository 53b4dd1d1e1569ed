"""A model that is asked what the one that answers was asked, afterwards: nobody waits for it.

It has one thread, takes at most half of its time, and lets requests go first. What it cannot keep up with is
left out and counted.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge
from trainkit.inference.predictor import Answers

from model_server.batching import Inputs
from model_server.prediction_log.log import Asked, PredictionLog
from model_server.served import Served

_MOST, _MOST_BYTES = 256, 64 * 1024**2
"""Of requests that wait."""
_LETS_PASS_S = 0.1
_SAME = 0.01
"""Of quantities: relative."""


@dataclass(frozen=True)
class ShadowFigures:
    """Rows and images, counted since the start."""

    asked: Counter
    disagreements: Counter
    """Another class, or another value by more than 1 %."""
    dropped: Counter
    errors: Counter
    info: Gauge

    @classmethod
    def of(cls, registry: CollectorRegistry) -> ShadowFigures:
        """Those of a server."""

        def counter(name: str, what: str) -> Counter:
            return Counter(f"shadow_{name}", f"Rows and images {what}.", registry=registry)

        return cls(
            counter("requests", "that the shadow has answered"),
            counter("disagreements", "that it has answered otherwise"),
            counter("dropped", "that it could not keep up with"),
            counter("errors", "that it has failed at"),
            Gauge("shadow_info", "The shadow.", ["name", "version", "model"], registry=registry),
        )

    def serve(self, served: Served | None) -> None:
        """Name the shadow that is asked from now on."""
        self.info.clear()
        if served:
            self.info.labels(served.name, served.predictor.version, served.entry.called).set(1)


class _Waiting(NamedTuple):
    asked: Asked
    inputs: Inputs
    size: int


class Shadow:
    """Asked in a thread of its own, until it is closed."""

    def __init__(
        self, served: Served, figures: ShadowFigures, log: PredictionLog, waiting: Callable[[], int]
    ) -> None:
        """`waiting` is how many requests wait for the model that answers."""
        self.served = served
        self._figures, self._log, self._others = figures, log, waiting
        self._queue = queue.Queue[_Waiting | None](_MOST)
        self._bytes, self._lock, self._is_closed = 0, threading.Lock(), False
        threading.Thread(target=self._work, name="shadow", daemon=True).start()

    def ask(self, asked: Asked, inputs: Inputs) -> None:
        """Ask it the same, some time. Neither waits nor raises."""
        size = asked.size + sum(each.nbytes for each in inputs if isinstance(each, np.ndarray))
        with self._lock:
            fits = not self._bytes or self._bytes + size <= _MOST_BYTES
            if fits:
                try:
                    self._queue.put_nowait(_Waiting(asked, inputs, size))
                    self._bytes += size
                    return
                except queue.Full:
                    pass
        self._figures.dropped.inc(len(inputs))

    def named(self, served: Served) -> None:
        """The same model is called something else."""
        self.served = served

    def close(self) -> None:
        """Ask it no more; what waits is left out."""
        self._is_closed = True
        try:
            self._queue.put_nowait(None)
        except queue.Full:  # it is awake, then
            return

    def _work(self) -> None:
        while (waiting := self._queue.get()) and not self._is_closed:
            with self._lock:
                self._bytes -= waiting.size
            self._let_pass()
            began = time.perf_counter()
            try:
                self._answer(waiting)
            except Exception:  # noqa: BLE001 (a shadow harms nobody)
                self._figures.errors.inc(len(waiting.inputs))
            time.sleep(time.perf_counter() - began)

    def _let_pass(self) -> None:
        until = time.monotonic() + _LETS_PASS_S
        while self._others() and time.monotonic() < until:
            time.sleep(0.002)

    def _answer(self, waiting: _Waiting) -> None:
        served, champion = self.served, waiting.asked
        began = time.perf_counter()
        answers = served.batcher.ask(waiting.inputs)
        took_s = time.perf_counter() - began
        self._log.record(
            champion._replace(
                time=time.time(), role="shadow", served=served, answers=answers, latency_s=took_s
            )
        )
        self._figures.asked.inc(len(waiting.inputs))
        self._figures.disagreements.inc(_differing(champion.answers, answers))


def _differing(one: Answers, other: Answers) -> int:
    if one.values.shape[1] == 1:
        return int((~np.isclose(one.values, other.values, rtol=_SAME)).sum())
    return int((one.values.argmax(axis=1) != other.values.argmax(axis=1)).sum())
