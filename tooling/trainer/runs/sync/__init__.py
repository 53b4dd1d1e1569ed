"""Bringing to the tracking server what runs left on this disk: `trainer sync`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeGuard

from trainer.errors import InvalidInput, TrackingError, TrainerError
from trainer.runs import reconcile, resolve
from trainer.runs.sync import recreated, refused_again
from trainer.tracking import delivery
from trainer.tracking.delivery import DeliveryPending, Pending, RunMissing
from trainer.tracking.failures import Unreachable
from trainer.workspace import refusals, run_folder, run_folders
from trainer.workspace.refusals import RefusedRecords
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class SyncResult:
    """A run, what of it was on this disk alone, its status, and the error that kept it there, if any."""

    record: Record
    pending: Pending
    status: str
    error: Exception | None = None
    refused: RefusedRecords | None = None
    """What of it the server refused for good, where the rest is delivered."""


def sync(
    workspace: Workspace,
    names: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
    *,
    dry_run: bool = False,
    recreate: bool = False,
    refused: bool = False,
) -> Iterator[SyncResult]:
    """Deliver the runs that nobody looks after, or those that `names` names as `resolve` understands it.

    With `recreate`, those that their server does not have any more are created there again; with `refused`,
    what it refused before is sent again.

    Raises `InvalidInput` for one that is not here. A server that gives no answer is not asked for the next
    run; any other failure is of one run alone.
    """
    selections = [_Selection(name, _ids(workspace, name)) for name in names]
    if refused and not dry_run:
        refused_again.take_back(
            workspace,
            lambda run_id: not selections or any(selection.matches(run_id) for selection in selections),
        )
    with ExitStack() as held:
        unattended = []
        for record, lock in run_folders.unattended(workspace):
            held.enter_context(lock)
            unattended.append(record)
        _check(workspace, selections, unattended, refused=refused)
        failed: dict[str, TrackingError] = {}
        for record in unattended:
            if not selections or any(
                selection.matches(record.run_id, record.name) for selection in selections
            ):
                try:
                    yield _sync_run(workspace, record, failed, progress, dry_run=dry_run, recreate=recreate)
                except Exception as error:  # noqa: BLE001 (a run can leave what nobody thought of)
                    yield SyncResult(record, Pending(0, 0, 0), "UNKNOWN", error)


def _sync_run(
    workspace: Workspace,
    record: Record,
    failed: dict[str, TrackingError],
    progress: Callable[[str, int, int], None] | None,
    *,
    dry_run: bool,
    recreate: bool,
) -> SyncResult:
    folder = run_folder.of(workspace, record.run_id)
    pending = delivery.pending(folder)
    status = run_folders.ended(folder) or "RUNNING"
    if dry_run:
        return SyncResult(record, pending, status)
    if record.tracking_uri in failed:
        return SyncResult(record, pending, status, failed[record.tracking_uri])
    try:
        show = (lambda done, total: progress(record.run_id, done, total)) if progress else None
        settle = partial(reconcile.settle, workspace, record, wait=False, progress=show)
        try:
            status = settle()
        except RunMissing:
            if not recreate:
                raise
            recreated.prepare(folder)
            status = settle()
        return SyncResult(record, pending, status, refused=refusals.of_run(workspace, record.run_id))
    except TrainerError as error:
        if _concerns_all_runs(error):
            failed[record.tracking_uri] = error
        return SyncResult(record, delivery.pending(folder), run_folders.ended(folder) or "UNKNOWN", error)


def _concerns_all_runs(error: TrainerError) -> TypeGuard[TrackingError]:
    """Whether the server would be asked in vain for the other runs too."""
    if isinstance(error, DeliveryPending):
        return not error.answers
    return isinstance(error, Unreachable)


@dataclass(frozen=True)
class _Selection:
    """What a user calls a run, or several of one name, and the ids that they have or had."""

    name: str
    ids: frozenset[str]

    def matches(self, run_id: str, name: str = "") -> bool:
        """Whether the run on this disk is meant."""
        return run_id in self.ids or name == self.name or run_id.startswith(self.name)


def _ids(workspace: Workspace, name: str) -> frozenset[str]:
    is_best = name.startswith(resolve.BEST)
    records = [resolve.resolve(workspace, name)] if is_best else resolve.started_here(workspace, name)
    return frozenset(run_id for record in records for run_id in (record.run_id, record.offline_id) if run_id)


def _check(
    workspace: Workspace, selections: Sequence[_Selection], free: Sequence[Record], *, refused: bool
) -> None:
    for selection in selections:
        if any(selection.matches(record.run_id, record.name) for record in free):
            continue
        if any(selection.matches(record.run_id, record.name) for record in run_folders.live(workspace)):
            raise InvalidInput(
                f"The run {selection.name} is still going.",
                "It is delivered while it runs, and when it ends.",
            )
        if any(
            selection.matches(refused_records.run_id) for refused_records in refusals.all_refused(workspace)
        ):
            if refused:  # and not sent, in a dry run
                continue
            raise InvalidInput(
                f"The run {selection.name} is on the tracking server, except for what that refused.",
                f"To send it again: trainer sync {selection.name} --refused",
            )
        raise InvalidInput(
            f"Nothing of a run {selection.name} is on this disk.",
            "`trainer sync --dry-run` shows what there is.",
        )
