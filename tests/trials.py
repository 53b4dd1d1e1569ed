"""Trials of a sweep, warm or in containers of their own, as a controller starts and ends them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow.entities import Run as LoggedRun
from support import Site
from trainer.backends import registry
from trainer.backends.base import Job, Launch, NotWarm, WarmBackend, WarmContainer
from trainer.plan import request
from trainer.plan.request import RunRequest
from trainer.plan.run_plan import RunPlan
from trainer.projects import mlproject
from trainer.runs import launch, reconcile
from trainer.runs.launch import Started, prepare
from trainer.runs.launch.prepare import PreparedLaunch
from trainer.tracking.client import Run
from trainer.workspace import run_folder, settings
from trainer.workspace.run_folder import RunFolder


class Silent:
    """A screen that keeps what it is given."""

    def __init__(self) -> None:
        self.printed = b""

    def step(self, text: str) -> None: ...

    def part(self, text: str, count: str = "") -> None: ...

    def detail(self, line: str) -> None: ...

    def remark(self, text: str) -> None: ...

    def started(self, run: Run) -> None: ...

    def output(self, piece: bytes) -> None:
        self.printed += piece


@dataclass
class Trial:
    """One that was started."""

    site: Site
    started: Started
    held: ExitStack
    is_forked: bool
    why: str
    """Why it was not."""

    @property
    def id(self) -> str:
        """The run's."""
        return self.started.launched.run.id

    def until(self, text: bytes, seconds: float = 60) -> None:
        """Wait until it has printed that."""
        give_up = time.monotonic() + seconds
        while text not in b"".join(self.started.job.output()):
            assert time.monotonic() < give_up, b"".join(self.started.job.output())
            time.sleep(0.02)

    def end(self) -> LoggedRun:
        """Wait for its end, and settle it."""
        for _ in self.started.job.follow():
            pass
        with self.held:
            workspace = settings.find(self.site.root)
            assert reconcile.settle(workspace, self.started.launched.record, wait=True) != "RUNNING"
        return self.site.run(self.id)


class Trials:
    """Those of one test."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._site, self._folder = site, folder
        self._slots: list[WarmContainer] = []
        self._experiment: dict[str, str] = {}

    def ready(self, project: str, memory: str | None = None, **parameters: str) -> PreparedLaunch:
        """As `trainer run PROJECT --PARAMETER VALUE` prepares it."""
        workspace = settings.find(self._site.root)
        plan = request.make(
            workspace,
            RunRequest(
                project=mlproject.load(self._site.root / "train_code" / project),
                source=project,
                backend=registry.target("docker"),
                parameters=parameters,
                memory=memory,
            ),
        )
        return prepare.prepare(workspace, plan, Silent(), None)

    def slot(self, ready: PreparedLaunch) -> WarmContainer:
        """A slot that is closed at the end of the test."""
        folder = self._folder / str(len(self._slots))
        assert isinstance(ready.backend, WarmBackend)
        parent = Run("7" * 32, self._experiment_id(ready), "woods", "RUNNING", "")
        shared = launch.of_children(ready, parent, RunFolder(folder))
        slot = ready.backend.warm(ready.plan, shared, folder)
        self._slots.append(slot)
        return slot

    def start(self, slot: WarmContainer | None, ready: PreparedLaunch, **parameters: str) -> Trial:
        """A trial in the slot, or in a container of its own."""
        if parameters:
            ready = replace(ready, plan=self.ready(ready.plan.code.project, ready.plan.resources.memory,
                                                   **parameters).plan)  # fmt: skip
        held = ExitStack()
        why = ""

        def starts_job(plan: RunPlan, job: Launch, before: Callable[[], object]) -> Job:
            nonlocal why
            try:
                assert slot
                return slot.start(plan, job, before)
            except NotWarm as reason:
                why = str(reason)
                return ready.backend.start(plan, job, before)

        started = launch.start(
            ready, Silent(), held, experiment_id=self._experiment_id(ready),
            starts_job=starts_job if slot else None,
        )  # fmt: skip
        folder = run_folder.of(ready.workspace, started.launched.run.id)
        return Trial(self._site, started, held, folder.job_warm.exists(), why)

    def _experiment_id(self, ready: PreparedLaunch) -> str:
        name = ready.plan.tracking.experiment
        if name not in self._experiment:
            found = self._site.client.get_experiment_by_name(name)
            self._experiment[name] = (
                found.experiment_id if found else self._site.client.create_experiment(name)
            )
        return self._experiment[name]

    def close(self) -> None:
        """Leave no container."""
        for slot in self._slots:
            slot.close()


def metrics(run: LoggedRun) -> dict[str, float]:
    """What it logged, without times."""
    return {name: value for name, value in run.data.metrics.items() if "seconds" not in name}
