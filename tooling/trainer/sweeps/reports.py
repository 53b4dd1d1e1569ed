"""What a running trial has logged of its metric so far, read from its journal as that grows."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from trainer.errors import TrainerError
from trainer.tracking import search
from trainer.tracking.client import Client
from trainer.tracking.spool_guard import SoundSpool
from trainer.workspace.run_folder import RunFolder

_ASK_S = 5.0
"""So often the tracking server is asked for a run whose journal is on another machine."""


@dataclass(frozen=True)
class Report:
    """A value of the metric. `step` is its order where the script gives none."""

    step: int
    value: float


@dataclass
class Reports:
    """Of one metric of one run. The run may write what it likes: only sound records count."""

    run_id: str
    folder: RunFolder
    metric: str
    history: list[Report] = field(default_factory=list)
    _read: int = 0
    _size: int = 0
    _is_here: bool = False
    """Whether it logs to this disk at all."""
    _asked: float = field(default_factory=time.monotonic)

    def new(self, client: Client) -> list[Report]:
        """Those since the last call."""
        before = len(self.history)
        for step, value in [*self._in_journal(), *self._on_server(client)]:
            last = self.history[-1].step if self.history else -1
            self.history.append(Report(step if step > last else last + 1, value))
        return self.history[before:]

    def _in_journal(self) -> Iterator[tuple[int, float]]:
        spool = SoundSpool(self.folder.spool)
        with contextlib.suppress(OSError):  # it is about to be removed
            size = spool.journal.stat().st_size
            if size == self._size:
                return
            self._size = size
            for entry in spool.entries(self._read):
                self._read = entry.end
                body = (entry.record or {}).get("body")
                if not isinstance(body, dict) or body.get("run_id") != self.run_id:
                    continue
                for point in cast(list[dict[str, object]], body.get("metrics") or []):
                    self._is_here = True
                    if point["key"] == self.metric and math.isfinite(value := float(str(point["value"]))):
                        yield int(str(point.get("step") or 0)), value

    def _on_server(self, client: Client) -> Iterator[tuple[int, float]]:
        """For a run that logs past this disk: the engine is another machine, or its image has no trainkit."""
        if self._is_here or time.monotonic() - self._asked < _ASK_S:
            return
        self._asked = time.monotonic()
        with contextlib.suppress(TrainerError):
            points = search.curves(client, [self.run_id], self.metric)[self.run_id]
            yield from ((point.step, point.value) for point in points[len(self.history) :])
