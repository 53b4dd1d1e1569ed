"""Bringing to the tracking server what runs left on this disk: `trainer sync`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeGuard

from trainer.errors import BadInput, TrackingError, TrainerError
from trainer.runs import reconcile, resolve
from trainer.runs.sync import recreated, refused_again
from trainer.tracking import delivery
from trainer.tracking.delivery import Left, Lost, Undelivered
from trainer.tracking.failures import Unreachable
from trainer.workspace import refusals, run_folder, run_folders
from trainer.workspace.refusals import Kept
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class Synced:
    """A run, what of it was on this disk alone, its status, and the error that kept it there, if any."""

    record: Record
    left: Left
    status: str
    error: Exception | None = None
    refused: Kept | None = None
    """What of it the server refused for good, where the rest is delivered."""


def sync(
    workspace: Workspace,
    wanted: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
    *,
    dry_run: bool = False,
    recreate: bool = False,
    refused: bool = False,
) -> Iterator[Synced]:
    """Deliver the runs that nobody looks after, or those that `wanted` names as `resolve` understands it.

    With `recreate`, those that their server does not have any more are created there again; with `refused`,
    what it refused before is sent again.

    Raises `BadInput` for one that is not here. A server that gives no answer is not asked for the next run;
    any other failure is of one run alone.
    """
    meant = [_Meant(said, _ids(workspace, said)) for said in wanted]
    if refused and not dry_run:
        refused_again.take_back(workspace, lambda run_id: not meant or any(one.has(run_id) for one in meant))
    with ExitStack() as held:
        found = []
        for record, lock in run_folders.unattended(workspace):
            held.enter_context(lock)
            found.append(record)
        _check(workspace, meant, found, refused=refused)
        failed: dict[str, TrackingError] = {}
        for record in found:
            if not meant or any(one.has(record.run_id, record.name) for one in meant):
                try:
                    yield _one(workspace, record, failed, progress, dry_run=dry_run, recreate=recreate)
                except Exception as problem:  # noqa: BLE001 (a run can leave what nobody thought of)
                    yield Synced(record, Left(0, 0, 0), "UNKNOWN", problem)


def _one(
    workspace: Workspace,
    record: Record,
    failed: dict[str, TrackingError],
    progress: Callable[[str, int, int], None] | None,
    *,
    dry_run: bool,
    recreate: bool,
) -> Synced:
    folder = run_folder.of(workspace, record.run_id)
    left = delivery.left(folder)
    status = run_folders.ended(folder) or "RUNNING"
    if dry_run:
        return Synced(record, left, status)
    if record.tracking_uri in failed:
        return Synced(record, left, status, failed[record.tracking_uri])
    try:
        show = (lambda done, total: progress(record.run_id, done, total)) if progress else None
        settle = partial(reconcile.settle, workspace, record, wait=False, progress=show)
        try:
            status = settle()
        except Lost:
            if not recreate:
                raise
            recreated.prepare(folder)
            status = settle()
        return Synced(record, left, status, refused=refusals.of_run(workspace, record.run_id))
    except TrainerError as problem:
        if _is_of_all(problem):
            failed[record.tracking_uri] = problem
        return Synced(record, delivery.left(folder), run_folders.ended(folder) or "UNKNOWN", problem)


def _is_of_all(problem: TrainerError) -> TypeGuard[TrackingError]:
    """Whether the server would be asked in vain for the other runs too."""
    if isinstance(problem, Undelivered):
        return not problem.answers
    return isinstance(problem, Unreachable)


@dataclass(frozen=True)
class _Meant:
    """What a user calls a run, or several of one name, and the ids that they have or had."""

    said: str
    ids: frozenset[str]

    def has(self, run_id: str, name: str = "") -> bool:
        """Whether the run on this disk is meant."""
        return run_id in self.ids or name == self.said or run_id.startswith(self.said)


def _ids(workspace: Workspace, said: str) -> frozenset[str]:
    is_best = said.startswith(resolve.BEST)
    found = [resolve.resolve(workspace, said)] if is_best else resolve.started_here(workspace, said)
    return frozenset(run_id for record in found for run_id in (record.run_id, record.offline_id) if run_id)


def _check(workspace: Workspace, meant: Sequence[_Meant], free: Sequence[Record], *, refused: bool) -> None:
    for one in meant:
        if any(one.has(record.run_id, record.name) for record in free):
            continue
        if any(one.has(record.run_id, record.name) for record in run_folders.live(workspace)):
            raise BadInput(
                f"The run {one.said} is still going.", "It is delivered while it runs, and when it ends."
            )
        if any(one.has(kept.run_id) for kept in refusals.all_kept(workspace)):
            if refused:  # and not sent, in a dry run
                continue
            raise BadInput(
                f"The run {one.said} is on the tracking server, except for what that refused.",
                f"To send it again: trainer sync {one.said} --refused",
            )
        raise BadInput(
            f"Nothing of a run {one.said} is on this disk.", "`trainer sync --dry-run` shows what there is."
        )
