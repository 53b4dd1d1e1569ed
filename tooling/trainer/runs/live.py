"""The runs that go on: where, since when, what they use, and who looks after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trainer.errors import EngineError, TrainerError
from trainer.runs import containers, reconcile
from trainer.runs.containers import RunContainer
from trainer.subprocesses import within
from trainer.workspace import run_folders
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

_PATIENCE_S = 2.0


@dataclass(frozen=True)
class Live:
    """A run without an end on the server, as far as this machine knows."""

    record: Record
    state: str
    """`running`, `ended` (the server is still to be told), or `unknown`."""
    looked_after: str
    """`trainer` (a process of it on this machine), `nobody`, or the name of another machine or workspace."""
    memory: int | None = None
    """Bytes."""
    cpus: float | None = None
    """Mean since its start; 1.0 is one core."""


def runs(workspace: Workspace, *, of_all: bool = False) -> tuple[list[Live], TrainerError | None]:
    """The live runs of the workspace, the oldest first, and why those of the engine are unknown (within 2 s).

    With `of_all`, those of every workspace that uses the engine.
    """
    live = run_folders.live(workspace)
    problem: TrainerError | None = None
    seen: Mapping[str, RunContainer] = {}
    if of_all or any(record.backend == "docker" and record.is_here for record in live):
        try:
            found = within(_PATIENCE_S, containers.of_runs)
            seen = {container.run_id: container for container in found or ()}
            if found is None:
                raise EngineError(f"The Docker engine gave no answer in {_PATIENCE_S:.0f} s.", "Restart it.")
        except TrainerError as refused:
            problem = type(refused)(f"{refused.message} The state of its runs is unknown.", refused.hint)
    shown = [_look(workspace, record, seen, engine_known=problem is None) for record in live]
    if of_all:
        ours = workspace.identity
        shown += [_stranger(container) for container in seen.values() if container.workspace != ours]
    return shown, problem


def _look(
    workspace: Workspace, record: Record, seen: Mapping[str, RunContainer], *, engine_known: bool
) -> Live:
    if not record.is_here:
        return Live(record, "unknown", record.host)
    looked_after = "trainer" if run_folders.is_looked_after(workspace, record.run_id) else "nobody"
    if record.backend == "docker":
        container = seen.get(record.run_id)
        if container:
            state = "running" if container.running else "ended"
            return Live(record, state, looked_after, container.memory, container.cpus)
        return Live(record, "ended" if engine_known else "unknown", looked_after)
    ended = reconcile.job_of(workspace, record).end() is not None
    return Live(record, "ended" if ended else "running", looked_after)


def _stranger(container: RunContainer) -> Live:
    state = "running" if container.running else "ended"
    return Live(container.record, state, "another workspace", container.memory, container.cpus)
