"""Where the trials of a sweep run: in containers of their own, or forked in one that stays.

The latter saves a trial the start of a container and the imports, and nothing else changes. Where a trial
cannot be forked it has a container of its own, on the same part of the machine.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from trainer.backends.base import Job, Launch, NotWarm, WarmBackend, WarmContainer, WarmEnded
from trainer.errors import EngineError, NoFreeSlot
from trainer.plan.run_plan import RunPlan
from trainer.runs import launch
from trainer.runs.launch import Reporter
from trainer.runs.launch.prepare import PreparedLaunch
from trainer.slots.need import Slot
from trainer.subprocesses import deferred_signals
from trainer.sweeps import units
from trainer.sweeps.opening import Opened
from trainer.sweeps.requests import Unit
from trainer.sweeps.units import Running
from trainer.tracking.client import Run
from trainer.workspace.run_folder import RunFolder


@dataclass
class WarmSlot:
    """A container that has one trial at a time, and what it has of the machine."""

    container: WarmContainer
    claimed: Slot | None
    is_over: bool = False
    """Whether no trial will be had from it."""


class Slots:
    """Starts trials. Not for several threads."""

    def __init__(self, sweep: Opened, screen: Reporter) -> None:
        self._sweep, self._screen = sweep, screen
        wanted = sweep.spec.options.warm
        self._is_warm = sweep.need.gpus == "none" if wanted is None else wanted
        self._is_asked_for = wanted is True
        self._open: list[WarmSlot] = []
        self._free: list[WarmSlot] = []
        self._said: set[str] = set()

    def start(self, ready: PreparedLaunch, unit: Unit, created: Callable[[Run], None]) -> Running:
        """As `units.start`. The first trial of a container that stays waits until its imports are over.

        Raises `NoFreeSlot` where the machine has nothing left for it.
        """
        slot = self._warm(ready)
        if slot is None:
            claimed = self._claim(ready)
            return units.start(replace(ready, slot=claimed), unit, self._screen, created)
        try:
            here = replace(ready, slot=slot.claimed)
            running = units.start(here, unit, self._screen, created, partial(self._start_in, slot, here))
        except BaseException:
            self._free.append(slot)
            raise
        running.release = partial(self._free.append, slot)
        return running

    def _start_in(
        self, slot: WarmSlot, ready: PreparedLaunch, plan: RunPlan, job: Launch, before: Callable[[], object]
    ) -> Job:
        try:
            return slot.container.start(plan, job, before)
        except NotWarm as why:
            slot.is_over = isinstance(why, WarmEnded)
            self._say(f"A trial has a container of its own: {why}.")
            return ready.backend.start(plan, job, before)

    def _warm(self, ready: PreparedLaunch) -> WarmSlot | None:
        """One that is free; None where trials have containers of their own."""
        for over in [slot for slot in self._free if slot.is_over]:
            self._free.remove(over)
            self._close(over)
        if self._is_warm and not self._free:
            self._open_all(ready)
        return self._free.pop() if self._free else None

    def _open_all(self, ready: PreparedLaunch) -> None:
        """All that there are to be, so that their imports go on at once."""
        try:
            while len(self._open) < self._sweep.spec.parallel:
                self._free.append(self._opened(ready))
        except NotWarm as why:
            self._is_warm = False
            if self._is_asked_for:
                self._say(f"Trials have containers of their own: {why}.")
        except NoFreeSlot:
            if not self._free:
                raise

    def _opened(self, ready: PreparedLaunch) -> WarmSlot:
        if not isinstance(ready.backend, WarmBackend):
            raise NotWarm(f"the {ready.plan.backend} backend has none that stay")
        claimed = self._claim(ready)
        folder = self._sweep.folder.slots / secrets.token_hex(4)  # not one that an earlier process had
        try:
            shared = launch.of_children(replace(ready, slot=claimed), self._sweep.parent, RunFolder(folder))
            with deferred_signals():
                slot = WarmSlot(ready.backend.warm(ready.plan, shared, folder), claimed)
                self._open.append(slot)
        except BaseException:
            self._release(claimed)
            raise
        return slot

    def _claim(self, ready: PreparedLaunch) -> Slot | None:
        need = self._sweep.need
        return None if need.is_nothing else ready.backend.claim(need, ready.image_id)

    def _release(self, claimed: Slot | None) -> None:
        if claimed:
            with contextlib.suppress(EngineError):  # which forgets it by itself
                self._sweep.ready.backend.release(claimed)

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._screen.remark(text)

    def close(self) -> None:
        """Remove the containers, when all trials have ended. Safe to call twice."""
        for slot in list(self._open):
            with contextlib.suppress(EngineError):  # they end by themselves
                self._close(slot)
        backend = self._sweep.ready.backend
        if isinstance(backend, WarmBackend):
            with contextlib.suppress(EngineError):
                backend.clear_warm(self._sweep.folder.slots)

    def _close(self, slot: WarmSlot) -> None:
        with deferred_signals(drop=True):
            self._open.remove(slot)
            slot.container.close()
            self._release(slot.claimed)
