import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from trainer.backends.base import JobResult
from trainer.errors import DiskFull, GpuOutOfMemory, OutOfMemory, RunLost, ScriptFailed, ScriptKilled
from trainer.masking import Masker
from trainer.runs.outcome import Verdict, close, judge
from trainer.tracking.client import Run
from trainer.tracking.delivery import SpoolWriter
from trainer.workspace import run_folders
from trainer.workspace.run_folder import RunFolder
from trainkit import live
from trainkit.spool.journal import Spool

from unit.helpers import fails

RUN_ID = "0f3c" * 8


@pytest.mark.parametrize(
    ("end", "interrupted", "status", "reason", "error", "code"),
    [
        (JobResult(0), None, "FINISHED", "done", None, None),
        (JobResult(1), None, "FAILED", "exit code 1", ScriptFailed, 1),
        (JobResult(3), None, "FAILED", "exit code 3", ScriptFailed, 3),
        (JobResult(94), None, "FAILED", "GPU out of memory", GpuOutOfMemory, 94),
        (JobResult(127), None, "FAILED", "exit code 127", ScriptFailed, 127),
        (JobResult(128), None, "FAILED", "exit code 128", ScriptFailed, 128),
        (JobResult(255), None, "FAILED", "exit code 255", ScriptFailed, 255),
        (JobResult(137), None, "FAILED", "ended by SIGKILL", ScriptKilled, 137),
        (JobResult(139), None, "FAILED", "ended by SIGSEGV", ScriptKilled, 139),
        (JobResult(178), None, "FAILED", "ended by signal 50", ScriptKilled, 178),
        (JobResult(137, out_of_memory=True), None, "FAILED", "out of memory", OutOfMemory, 86),
        (JobResult(0, out_of_memory=True), None, "FAILED", "out of memory", OutOfMemory, 86),
        (JobResult(None), None, "KILLED", "lost", RunLost, 87),
        (JobResult(0, stopped_by=15), None, "KILLED", "stopped from outside", RunLost, 87),
        (JobResult(130, stopped_by=2), None, "KILLED", "stopped from outside", RunLost, 87),
        (JobResult(137, recorded=False), None, "KILLED", "stopped from outside", RunLost, 87),
        (JobResult(0, recorded=False), None, "KILLED", "cut off", RunLost, 87),
        (JobResult(255, recorded=False), None, "KILLED", "cut off", RunLost, 87),
        (
            JobResult(137, out_of_memory=True, recorded=False),
            None,
            "FAILED",
            "out of memory",
            OutOfMemory,
            86,
        ),
        (JobResult(0), 2, "KILLED", "stopped by SIGINT", None, None),
        (JobResult(130, stopped_by=2), 15, "KILLED", "stopped by SIGTERM", None, None),
        (JobResult(137, out_of_memory=True), 1, "KILLED", "stopped by SIGHUP", None, None),
        (JobResult(None), 2, "KILLED", "stopped by SIGINT", None, None),
    ],
)
def test_the_verdict(
    end: JobResult, interrupted: int | None, status: str, reason: str, error: type | None, code: int | None
) -> None:
    verdict = judge(RUN_ID, end, interrupted)
    assert (verdict.status, verdict.reason, verdict.exit_code) == (status, reason, end.exit_code)
    assert type(verdict.error) is (error or type(None))
    assert (verdict.error.exit_code if verdict.error else None) == code


def test_the_error_says_how_the_script_ended() -> None:
    failed, killed = judge(RUN_ID, JobResult(3)).error, judge(RUN_ID, JobResult(139)).error
    assert failed
    assert killed
    assert failed.message == "The training script ended with exit code 3."
    assert killed.message == "The training script was ended by SIGSEGV."
    assert failed.hint == killed.hint == "Its output is above and in the run's artifact train.log."


def test_a_missing_command_has_a_hint_of_its_own() -> None:
    error = judge(RUN_ID, JobResult(127)).error
    assert error
    assert error.hint == "The image does not have the MLproject's command."


def test_the_tags_of_an_end() -> None:
    assert judge(RUN_ID, JobResult(3)).tags == {"trainer.end": "exit code 3", "trainer.exit_code": "3"}
    assert judge(RUN_ID, JobResult(None)).tags == {"trainer.end": "lost"}
    assert judge(RUN_ID, JobResult(137, out_of_memory=True)).tags == {
        "trainer.end": "out of memory",
        "trainer.exit_code": "137",
        "trainer.signal": "SIGKILL",
        "trainer.out_of_memory": "true",
    }
    assert judge(RUN_ID, JobResult(0, stopped_by=15)).tags == {
        "trainer.end": "stopped from outside",
        "trainer.exit_code": "0",
        "trainer.signal": "SIGTERM",
    }


def test_a_run_that_a_command_stopped_says_which() -> None:
    verdict = judge(RUN_ID, JobResult(0, stopped_by=2), by="trainer stop")
    assert (verdict.status, verdict.reason) == ("KILLED", "stopped by trainer stop")
    assert verdict.error
    assert verdict.error.exit_code == 87


@pytest.mark.parametrize(
    "verdict",
    [
        judge(RUN_ID, JobResult(0), by="trainer stop"),
        judge(RUN_ID, JobResult(None)),
        judge(RUN_ID, JobResult(0, stopped_by=15)),
        judge(RUN_ID, JobResult(0, recorded=False)),
    ],
)
def test_a_run_that_can_go_on_is_named_in_the_hint(verdict: Verdict) -> None:
    assert verdict.error
    assert verdict.error.hint.endswith("To go on from its last checkpoint: trainer resume 0f3c0f3c")


@dataclass
class FakeBook:
    """What is told of a run; after `works` the disk is full."""

    works: int = 99
    told: list[tuple[object, ...]] = field(default_factory=list)

    def _tell(self, *what: object) -> None:
        if len(self.told) >= self.works:
            raise DiskFull("It is full.", "Make space.")
        self.told.append(what)

    def upload(self, run: Run, path: Path, name: str) -> None:
        self._tell("upload", run.id, path.read_bytes(), name)

    def set_tags(self, run_id: str, tags: dict[str, str]) -> None:
        self._tell("tags", run_id, tags)

    def end_run(self, run_id: str, status: str, at: float | None = None) -> None:  # noqa: ARG002
        self._tell("end", run_id, status)


class FakeJob:
    """A job that has ended, with output."""

    def __init__(self, *output: bytes) -> None:
        self._output = output
        self.removed = 0

    def follow(self) -> Iterator[bytes]:
        yield from self._output

    def output(self) -> Iterator[bytes]:
        yield from self._output

    def end(self) -> JobResult | None:
        return JobResult(0)

    def fetch(self, folder: RunFolder) -> None: ...

    def written(self) -> dict[str, int]:
        return {}

    def bring(self, path: str, place: Path) -> Path | None: ...

    def stop(self) -> None: ...

    def remove(self) -> None:
        self.removed += 1


RUN = Run("r1", "1", "brave-hen", "RUNNING", "mlflow-artifacts:/1/r1/artifacts")
DONE = Verdict("FINISHED", "done", None, 0)


def test_the_book_gets_the_masked_output_then_the_tags_then_the_status(tmp_path: Path) -> None:
    book, job = FakeBook(), FakeJob(b"the key is hun", b"ter2.\n")
    close(cast(SpoolWriter, book), RUN, job, RunFolder(tmp_path), Masker(["hunter2"]), DONE)
    assert book.told == [
        ("upload", "r1", b"the key is ***.\n", "train.log"),
        ("tags", "r1", {"trainer.end": "done", "trainer.exit_code": "0"}),
        ("end", "r1", "FINISHED"),
    ]
    assert job.removed == 0  # that is for who has closed the book
    assert run_folders.ended(RunFolder(tmp_path)) == "FINISHED"


def test_what_the_run_said_of_its_progress_is_a_line_a_minute_in_the_log(tmp_path: Path) -> None:
    said = [live.START + f"{at};fit\tstep {at}".encode() + live.END for at in range(100, 221)]
    book, job = FakeBook(), FakeJob(b"one\n", *said, b"two\n")
    close(cast(SpoolWriter, book), RUN, job, RunFolder(tmp_path), Masker([]), DONE)
    assert book.told[0][2] == b"one\nfit: step 160\nfit: step 220\ntwo\n"


def test_what_the_masker_still_held_of_the_live_output_is_not_in_the_log(tmp_path: Path) -> None:
    book, masker = FakeBook(), Masker(["hunter2"])
    masker.feed(b"stopped in the middle of h")
    close(cast(SpoolWriter, book), RUN, FakeJob(b"whole output\n"), RunFolder(tmp_path), masker, DONE)
    assert book.told[0][2] == b"whole output\n"


@pytest.mark.parametrize("works", [0, 1, 2])
def test_an_end_that_cannot_be_written_down_keeps_the_job(tmp_path: Path, works: int) -> None:
    book, job = FakeBook(works), FakeJob(b"out\n")
    with fails(DiskFull, "It is full.", "Make space."):
        close(cast(SpoolWriter, book), RUN, job, RunFolder(tmp_path), Masker([]), DONE)
    assert job.removed == 0
    assert run_folders.ended(RunFolder(tmp_path)) is None


def test_children_that_were_left_running_end_with_their_run(tmp_path: Path) -> None:
    SpoolWriter(RunFolder(tmp_path)).begin(RUN, "demo", {}, {})
    spool = Spool(RunFolder(tmp_path).spool)
    for child, status in (("open", "RUNNING"), ("closed", "FINISHED")):
        data = {"tags": [{"key": "mlflow.parentRunId", "value": "r1"}]}
        spool.append({"known": "run", "run": {"info": {"run_id": child, "status": status}, "data": data}})
    failed = Verdict("FAILED", "exit code 1", None, 1)
    book = FakeBook()
    close(cast(SpoolWriter, book), RUN, FakeJob(), RunFolder(tmp_path), Masker([]), failed)
    assert book.told[2:] == [("end", "open", "FAILED"), ("end", "r1", "FAILED")]


@pytest.mark.parametrize(
    ("at", "told"), [(1_500.25, 1_500_250), (999.0, 1_000_000), (2e12, None), (None, None)]
)
def test_a_run_ends_when_its_job_did_and_never_before_its_start_or_later_than_now(
    tmp_path: Path, at: float | None, told: int | None
) -> None:
    book = SpoolWriter(RunFolder(tmp_path))
    book.begin(RUN, "demo", {}, {})
    path = RunFolder(tmp_path).spool / "run.json"
    payload = json.loads(path.read_text())
    payload["info"]["start_time"] = 1_000_000
    path.write_text(json.dumps(payload))
    book.end_run("r1", "FINISHED", at)
    (entry,) = Spool(RunFolder(tmp_path).spool).entries()
    body = cast(dict[str, dict[str, int]], entry.record)["body"]
    if told is None:
        assert abs(body["end_time"] / 1000 - time.time()) < 60
    else:
        assert body["end_time"] == told
