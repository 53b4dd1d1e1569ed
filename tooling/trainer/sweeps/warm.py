"""Warm trials: each is a process forked from an interpreter that has imported what the script imports.

That saves a trial the start of a container and the imports, and nothing else changes. Where it cannot be, a
trial gets a container of its own, and why is a remark of it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from trainer.backends.base import Job, Launch, NotWarm, WarmBackend, WarmContainer
from trainer.plan.run_plan import RunPlan
from trainer.runs import launch
from trainer.runs.launch import Reporter, Started
from trainer.runs.launch.prepare import PreparedLaunch
from trainer.tracking.client import Run
from trainer.workspace.run_folder import RunFolder


def open_slot(ready: PreparedLaunch, folder: Path, experiment_id: str) -> WarmSlot:
    """Start a container for trials of the preparation, in that folder, which does not exist.

    It waits for nothing: open all slots, then start trials. Raises `NotWarm` where trials cannot be warm, and
    `EngineError`.
    """
    if not isinstance(ready.backend, WarmBackend):
        raise NotWarm(f"the {ready.plan.backend} backend has no containers that stay")
    shared = launch.of_no_run(ready, experiment_id, RunFolder(folder))
    return WarmSlot(ready.backend.warm(ready.plan, shared, folder))


class WarmSlot:
    """A container that has one trial at a time."""

    def __init__(self, container: WarmContainer) -> None:
        self._container = container

    def start(
        self,
        ready: PreparedLaunch,
        screen: Reporter,
        held: ExitStack,
        *,
        experiment_id: str,
        created: Callable[[Run], None],
    ) -> Started:
        """As `runs.launch.start`. The first one waits until the imports are over."""
        why: list[str] = []

        def starts_job(plan: RunPlan, job_launch: Launch, before: Callable[[], object]) -> Job:
            try:
                return self._container.start(plan, job_launch, before)
            except NotWarm as reason:
                why.append(f"The trial has a container of its own: {reason}.")
                return ready.backend.start(plan, job_launch, before)

        started = launch.start(
            ready, screen, held, experiment_id=experiment_id, created=created, starts_job=starts_job
        )
        return replace(started, remarks=(*started.remarks, *why))

    def close(self) -> None:
        """Remove the container, and what runs in it. Safe to call twice."""
        self._container.close()
