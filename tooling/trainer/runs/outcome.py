"""How a run ends: the verdict on what its backend saw, and telling the tracking server."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from trainkit import gpu_memory
from trainkit.spool.view import View

from trainer.backends import job_output
from trainer.backends.base import Job, JobResult
from trainer.errors import (
    GpuOutOfMemory,
    OutOfMemory,
    RunLost,
    ScriptFailed,
    ScriptKilled,
    TrainerError,
    signal_name,
)
from trainer.masking import Masker
from trainer.runs import left_files
from trainer.runs.left_files import UnloggedFiles
from trainer.tracking import delivery, run_tags, spool_guard
from trainer.tracking.client import Run, Status
from trainer.tracking.delivery import SpoolWriter
from trainer.tracking.spool_guard import SoundSpool
from trainer.workspace import run_folders
from trainer.workspace.run_folder import LOG, RunFolder

_LOG_HINT = f"Its output is above and in the run's artifact {LOG}."
LOST = "lost"
"""Why a run ended whose job nobody found."""
_NOT_FOUND = 127  # what sh says of a command that it cannot find


@dataclass(frozen=True)
class Verdict:
    """The run's final status, why, and the error to show for it."""

    status: Status
    reason: str
    error: TrainerError | None = None
    exit_code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    at: float | None = field(default=None, compare=False)
    """As of the `JobResult`."""

    @property
    def tags(self) -> dict[str, str]:
        """What the run's tags say about its end."""
        values = {run_tags.END: self.reason}
        if self.exit_code is not None:
            values[run_tags.EXIT_CODE] = str(self.exit_code)
        if self.signal is not None:
            values[run_tags.SIGNAL] = signal_name(self.signal)
        if self.out_of_memory:
            values[run_tags.OUT_OF_MEMORY] = "true"
        return values


# What a run's tags say of its end. They are removed when the run is taken up again.
TAGS = (run_tags.END, run_tags.EXIT_CODE, run_tags.SIGNAL, run_tags.OUT_OF_MEMORY)


def judge(run_id: str, end: JobResult, interrupted_by: int | None = None, by: str | None = None) -> Verdict:
    """What the end of a run's job means. Exit code 0 alone does not make a run FINISHED.

    `interrupted_by` is the signal that this process was sent, and therefore stopped the job; `by` is the
    command that stopped it.
    """
    resume = f"To go on from its last checkpoint: trainer resume {run_id[:8]}"
    status, reason, error = _judge(end, interrupted_by, by, resume)
    ended_by = end.exit_code - 128 if end.exit_code and _is_signal(end.exit_code) else None
    return Verdict(
        status,
        reason,
        error,
        end.exit_code,
        interrupted_by or end.stopped_by or ended_by,
        end.out_of_memory,
        end.at,
    )


def recall(run: Run) -> TrainerError | None:
    """The error to show for a run that has ended, by its status and tags on the server."""
    if run.status == "FINISHED":
        return None
    reason, code = run.tags.get(run_tags.END, ""), run.tags.get(run_tags.EXIT_CODE, "")
    end = JobResult(
        int(code) if code.isdecimal() else None,
        run_tags.OUT_OF_MEMORY in run.tags,
        signal.SIGINT if reason == "stopped from outside" else None,
        recorded=reason != "cut off",
    )
    by = reason.removeprefix("stopped by ") if reason.startswith("stopped by ") else None
    return judge(run.id, end, by=by).error


def _judge(
    end: JobResult, interrupted_by: int | None, by: str | None, resume: str
) -> tuple[Status, str, TrainerError | None]:
    code = end.exit_code
    if interrupted_by is not None:
        return "KILLED", f"stopped by {signal_name(interrupted_by)}", None
    if by is not None:
        return "KILLED", f"stopped by {by}", RunLost(f"The run was stopped by `{by}`.", resume)
    if end.out_of_memory:
        error: TrainerError = OutOfMemory(
            "The run was out of memory: a process of it was killed.",
            "Increase its limit (--memory 8g), or reduce its use (a smaller batch, fewer workers).",
        )
        return "FAILED", "out of memory", error
    if code is None:
        error = RunLost(
            "The run's container or process is gone; how it ended is unknown.",
            f"Somebody removed it, or the machine went down. {resume}",
        )
        return "KILLED", LOST, error
    if end.stopped_by or (not end.recorded and _is_signal(code)):
        error = RunLost(
            "The container was stopped from outside.",
            f"Somebody ran `docker stop`, or the engine shut down. {resume}",
        )
        return "KILLED", "stopped from outside", error
    if not end.recorded:
        error = RunLost(
            f"The container ended with {code}, but its command never did: it was cut off.",
            f"The machine or the engine went down, or the container was tampered with. {resume}",
        )
        return "KILLED", "cut off", error
    if code == 0:
        return "FINISHED", "done", None
    if code == gpu_memory.EXIT_CODE:
        error = GpuOutOfMemory(
            "The run's GPU was out of memory.",
            "Lower its batch size, or use a GPU with more memory (--gpus device=N). " + _LOG_HINT,
        )
        return "FAILED", "GPU out of memory", error
    if _is_signal(code):
        return "FAILED", f"ended by {signal_name(code - 128)}", ScriptKilled(code - 128, _LOG_HINT)
    hint = "The image does not have the MLproject's command." if code == _NOT_FOUND else _LOG_HINT
    return "FAILED", f"exit code {code}", ScriptFailed(code, hint)


def _is_signal(code: int) -> bool:
    return 128 < code <= 128 + max(signal.Signals)


def close(
    spool: SpoolWriter,
    run: Run,
    job: Job,
    folder: RunFolder,
    masker: Masker,
    verdict: Verdict,
    *,
    keep_files: bool = False,
) -> UnloggedFiles | None:
    """Write down how the run ended, its output included.

    From then on all of the run lies in its folder, to be delivered, and its job can be removed. Raises
    `DiskFull` when it cannot: the job's remains are kept for the next try. Returns what files it left that
    were not logged; with `keep_files` they are artifacts.
    """
    job.fetch(folder)
    spool_guard.clean(folder)
    masker.flush()  # of the live output, which may have stopped in the middle of a word
    with folder.log.open("wb") as written:
        with contextlib.suppress(FileNotFoundError), folder.earlier_log.open("rb") as earlier:
            shutil.copyfileobj(earlier, written)
        for piece in job_output.logged(masker.stream(job.output())):
            written.write(piece)
    spool.upload(run, folder.log, LOG)
    unlogged = left_files.settle(spool, run, job, folder, keep=keep_files)
    spool.set_tags(run.id, verdict.tags)
    for child in _left_running(folder):
        spool.end_run(child, verdict.status, verdict.at)
    spool.end_run(run.id, verdict.status, verdict.at)
    run_folders.end(folder, verdict.status)
    return unlogged


def _left_running(folder: RunFolder) -> list[str]:
    """The runs that the script began within its own and did not end: nobody goes on with them."""
    if not delivery.exists(folder):
        return []
    spool = SoundSpool(folder.spool)
    return View(spool).running_below(str(cast(Mapping[str, str], spool.run()["info"])["run_id"]))
