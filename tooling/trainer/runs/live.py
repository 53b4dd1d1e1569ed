"""The runs that go on: where, since when, what they use, and who looks after them."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.backends import registry
from trainer.backends.base import JobState
from trainer.errors import TrainerError
from trainer.workspace import run_folders
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class LiveRun:
    """A run without an end on the server, as far as this machine knows."""

    record: Record
    state: str
    """`running`, `ended` (the server is still to be told), or `unknown`."""
    launcher: str
    """`running` (a process on this machine), `gone`, or the name of another machine or workspace."""
    memory: int | None = None
    """Bytes."""
    cpus: float | None = None
    """Mean since its start; 1.0 is one core."""
    job: JobState | None = None
    """What its backend says of it, if that is known."""


def runs(workspace: Workspace, *, of_all: bool = False) -> tuple[list[LiveRun], TrainerError | None]:
    """The live runs of the workspace, the oldest first, and why those of a backend are unknown.

    With `of_all`, those of every workspace that the backends know of.
    """
    live = run_folders.live(workspace)
    here_only = [record for record in live if record.is_here]
    error: TrainerError | None = None
    states: dict[str, JobState] = {}
    known_backends = set()
    for name in sorted({record.backend for record in here_only}.union(registry.names() if of_all else ())):
        try:
            mine = [record for record in here_only if record.backend == name]
            jobs = registry.named(name, workspace).list_jobs(mine, of_all=of_all)
            states |= {job.record.run_id: job for job in jobs}
            known_backends.add(name)
        except TrainerError as refused:
            error = type(refused)(f"{refused.message} The state of its runs is unknown.", refused.hint)
    shown = [
        _live(
            workspace,
            record,
            states.get(record.run_id),
            is_known=record.is_here and record.backend in known_backends,
        )
        for record in live
    ]
    ours = workspace.identity
    return shown + [_stranger(job) for job in states.values() if job.workspace != ours], error


def _live(workspace: Workspace, record: Record, job: JobState | None, *, is_known: bool) -> LiveRun:
    if not record.is_here:
        return LiveRun(record, "unknown", record.host)
    launcher = "running" if run_folders.has_launcher(workspace, record.run_id) else "gone"
    if not job:
        return LiveRun(record, "ended" if is_known else "unknown", launcher)
    return LiveRun(record, "running" if job.running else "ended", launcher, job.memory, job.cpus, job)


def _stranger(job: JobState) -> LiveRun:
    return LiveRun(
        job.record, "running" if job.running else "ended", "another workspace", job.memory, job.cpus, job
    )
