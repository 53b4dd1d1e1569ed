"""How a run ends: the verdict on what its backend saw, and telling the tracking server."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from trainer.backends import End, Job
from trainer.errors import (
    OutOfMemory,
    RunLost,
    ScriptFailed,
    ScriptKilled,
    TrackingError,
    TrainerError,
    signal_name,
)
from trainer.secrets import Masker
from trainer.tracking import Client, Run, Status

_LOG_HINT = "Its output is above and in the run's artifact train.log."
_NOT_FOUND = 127  # what sh says of a command that it cannot find


@dataclass(frozen=True)
class Verdict:
    """The run's final status, why, and the error to show for it."""

    status: Status
    reason: str
    error: TrainerError | None = None
    exit_code: int | None = None

    @property
    def tags(self) -> dict[str, str]:
        """What the run's tags say about its end."""
        code = {} if self.exit_code is None else {"trainer.exit_code": str(self.exit_code)}
        return {"trainer.end": self.reason, **code}


def judge(end: End, interrupted_by: int | None = None) -> Verdict:
    """What the end of a job means. Exit code 0 alone does not make a run FINISHED."""
    code = end.exit_code
    if interrupted_by is not None:
        return Verdict("KILLED", f"stopped by {signal_name(interrupted_by)}", None, code)
    if end.out_of_memory:
        error: TrainerError = OutOfMemory(
            "The run was out of memory: a process of it was killed.",
            "Give it more (--memory 8g), or make it need less (a smaller batch, fewer workers).",
        )
        return Verdict("FAILED", "out of memory", error, code)
    if code is None:
        error = RunLost(
            "The run's container or process is gone, and nobody saw how it ended.",
            "Somebody removed it, or the machine went down. Start the run again.",
        )
        return Verdict("KILLED", "lost", error)
    if end.stopped_by_others:
        error = RunLost(
            "The container was stopped from outside.",
            "Somebody ran `docker stop`, or the engine shut down. Start the run again.",
        )
        return Verdict("KILLED", "stopped from outside", error, code)
    if code == 0:
        return Verdict("FINISHED", "done", None, 0)
    if 128 < code <= 128 + max(signal.Signals):
        return Verdict(
            "FAILED", f"ended by {signal_name(code - 128)}", ScriptKilled(code - 128, _LOG_HINT), code
        )
    hint = "The image does not have the MLproject's command." if code == _NOT_FOUND else _LOG_HINT
    return Verdict("FAILED", f"exit code {code}", ScriptFailed(code, hint), code)


def close(client: Client, run: Run, job: Job, folder: Path, masker: Masker, verdict: Verdict) -> None:
    """Tell the server how the run ended, its output included, then leave nothing of the job behind.

    Raises `TrackingError` when the server cannot be told; the job's remains are kept for the next try.
    """
    try:
        _tell(client, run, job, folder, masker, verdict)
    except TrackingError as problem:
        raise type(problem)(
            f"The script has ended ({verdict.reason}), but: {problem.message}",
            "Nothing is lost: when the server answers again, `trainer reconcile` ends the run there.",
        ) from None
    job.remove()


def _tell(client: Client, run: Run, job: Job, folder: Path, masker: Masker, verdict: Verdict) -> None:
    masker.flush()  # of the live output, which may have stopped in the middle of a word
    log = folder / "train.log"
    with log.open("wb") as written:
        for piece in job.output():
            written.write(masker.feed(piece))
        written.write(masker.flush())
    client.upload(run, log, "train.log")
    client.set_tags(run.id, verdict.tags)
    client.end_run(run.id, verdict.status)
