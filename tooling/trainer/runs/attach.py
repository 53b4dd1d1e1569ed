"""Following a run that somebody else started: its output, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Iterator

from trainer.errors import InvalidInput, TrackingError, TrainerError
from trainer.masking import Masker
from trainer.runs import outcome, reconcile, server
from trainer.tracking import run_tags
from trainer.tracking.client import Run
from trainer.tracking.failures import NotThere
from trainer.workspace import run_folder, run_folders, secrets
from trainer.workspace.run_folder import LOG
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

_TOLD_WITHIN_S = 60


def output(workspace: Workspace, record: Record, *, follow: bool) -> Iterator[bytes]:
    """The run's output, masked: what there is of a live run, or all until its end; else its train.log.

    Any bytes may come, and between them what the run says of its progress: see `job_output`. Raises
    `InvalidInput` for a run that another machine has.
    """
    masker = Masker(secrets.load(workspace).masked(record.secret_names))
    yield from masker.stream(_pieces(workspace, record, follow=follow))


def _pieces(workspace: Workspace, record: Record, *, follow: bool) -> Iterator[bytes]:
    if run_folders.is_live(workspace, record.run_id):
        if not record.is_here:
            raise InvalidInput(
                f"The run {record.name} is running on {record.host}, not on this machine.",
                "Run the command there; the output is on the server after the run has ended.",
            )
        job = reconcile.job_of(workspace, record)
        yield from job.follow() if follow else job.output()
        return
    log_file = run_folder.of(workspace, record.run_id).log
    if log_file.exists():  # not delivered yet
        with log_file.open("rb") as log:
            yield from iter(lambda: log.read(1 << 16), b"")
        return
    client = server.client_of(workspace, record)
    run = client.get_run(record.run_id)
    try:
        yield from client.download(run, LOG)
    except NotThere as error:
        if run_tags.SWEEP in run.tags:
            raise InvalidInput(
                f"{run.name} is a sweep, which has no log of its own.",
                f"Its trials have: trainer logs {run.id[:8]}/N, or {run.id[:8]}/@best. "
                f"All of them: trainer sweep show {run.id[:8]}",
            ) from error
        raise InvalidInput(
            f"The run {record.name or record.run_id} has no {LOG} on {client.server.uri}.",
            "It was deleted there, or never started.",
        ) from error


def look_after(workspace: Workspace, record: Record) -> None:
    """See to it that some process ends the live run truthfully, whatever becomes of this one."""
    if run_folders.is_live(workspace, record.run_id) and not run_folders.has_launcher(
        workspace, record.run_id
    ):
        reconcile.in_background(workspace, record.run_id)


def result(workspace: Workspace, record: Record) -> tuple[Run, int | None, TrainerError | None]:
    """The ended run, its exit code, and the error to show for it. Waits until the server knows the end.

    Raises `TrackingError` where it is not told within a minute.
    """
    deadline = time.monotonic() + _TOLD_WITHIN_S
    while run_folders.is_live(workspace, record.run_id):
        if time.monotonic() > deadline:
            raise _untold(record)
        reconcile.settle_one(workspace, record.run_id)
        time.sleep(0.1)
    client = server.client_of(workspace, record)
    # It has ended; who looks after it may still be telling the server, its status last.
    while (run := client.get_run(record.run_id)).status == "RUNNING":
        if time.monotonic() > deadline:
            raise _untold(record)
        time.sleep(0.1)
    code = run.tags.get(run_tags.EXIT_CODE, "")
    return run, int(code) if code.isdecimal() else None, outcome.recall(run)


def _untold(record: Record) -> TrackingError:
    return TrackingError(
        f"The run {record.name} has ended, but the tracking server could not be told yet.",
        "Nothing is lost: when the server answers again, `trainer reconcile` ends the run there.",
    )
