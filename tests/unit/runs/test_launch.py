import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from shown import Shown
from trainer.backends.base import Backend, Job, JobResult, Launch
from trainer.datasets.inputs import Data
from trainer.errors import Interrupted, TrackingError
from trainer.masking import Masker
from trainer.plan.run_plan import RunPlan
from trainer.runs import launch, reconcile
from trainer.runs.launch import begin, prepare
from trainer.runs.launch.begin import LaunchedRun
from trainer.runs.launch.prepare import PreparedLaunch
from trainer.tracking.client import Client, Run
from trainer.tracking.delivery import SpoolWriter
from trainer.tracking.endpoint import Server
from trainer.tracking.failures import ServerFailure, TooLarge, Unavailable
from trainer.tracking.outbound import Outbound
from trainer.workspace import run_folder, run_folders
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.settings import Workspace
from trainkit.spool.journal import Spool

from unit.helpers import fails, put, run_plan

NOTE = """\
```sh
trainer run demo
```

Repeat it: `trainer reproduce r1`. Start another one like it: `trainer run --like r1`. \
Get its files: `trainer download r1`."""
RUN = Run("r1", "7", "brave-hen", "RUNNING", "mlflow-artifacts:/7/r1/artifacts")
CANARY = "canary-7f3a"


class FakeClient:
    """A tracking server that is told of a run."""

    def __init__(self, *, fails: bool = False) -> None:
        self.server = Server("http://127.0.0.1:5000", "me", CANARY, CANARY)
        self.told: list[tuple[object, ...]] = []
        self._fails = fails

    def _tell(self, *what: object) -> None:
        if self._fails:
            raise TrackingError("It is down.", "Start it.")
        self.told.append(what)

    def log_parameters(self, run_id: str, parameters: dict[str, str]) -> None:
        self._tell(run_id, "parameters", parameters)

    def upload(self, run: Run, path: Path, name: str) -> None:
        self._tell(run.id, "upload", path.name, name)

    def log_inputs(self, run_id: str, data: tuple[Data, ...]) -> None:
        self._tell(run_id, "inputs", [item.name for item in data])

    def set_tags(self, run_id: str, tags: dict[str, str]) -> None:
        self._tell(run_id, "tags", tags)

    def end_run(self, run_id: str, status: str, at: float | None = None) -> None:  # noqa: ARG002
        self._tell(run_id, "end", status)

    def exchange(self, *_: object, **__: object) -> None:
        raise TrackingError("It is down.", "Start it.")


class FakeJob:
    """A job that runs until it is stopped or removed."""

    running = True

    def follow(self) -> Iterator[bytes]:
        yield b""

    def output(self) -> Iterator[bytes]:
        yield b""

    def end(self) -> JobResult | None:
        return None if self.running else JobResult(130)

    def fetch(self, folder: RunFolder) -> None: ...

    def written(self) -> dict[str, int]:
        return {}

    def bring(self, path: str, place: Path) -> Path | None: ...

    def stop(self) -> None:
        self.running = False

    def remove(self) -> None:
        self.running = False


class FakeBackend:
    """Starts a `FakeJob`; the signal or the failure comes while it does."""

    def __init__(self, happening: int | Exception | None = None) -> None:
        self.job = FakeJob()
        self.launch: Launch | None = None
        self._happening = happening

    def outbound(self, found: Outbound, tracking: Server) -> Outbound:  # noqa: ARG002 (as of any backend)
        return found

    def reachable_uri(self, tracking: Server) -> str:
        return tracking.uri.replace("127.0.0.1", "host.docker.internal")

    def start(self, plan: RunPlan, job_launch: Launch, before: Callable[[], object]) -> Job:  # noqa: ARG002
        self.launch = job_launch
        before()
        if isinstance(self._happening, Exception):
            raise self._happening
        if self._happening:
            os.kill(os.getpid(), self._happening)
        return self.job


def ready_to_start(workspace: Workspace, client: FakeClient, backend: FakeBackend) -> PreparedLaunch:
    return PreparedLaunch(
        workspace,
        run_plan(workspace.root, parameters={"text": f"x {CANARY}"}),
        cast(Backend, backend),
        cast(Client, client),
        True,
        "id",
        Masker([CANARY]),
        {"API_KEY": CANARY},
    )


@pytest.fixture
def start(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Launches a run that the server has already; returns the remarks."""

    def begun(
        ready: PreparedLaunch, _: object, __: object, held: ExitStack, unstarted: ExitStack
    ) -> LaunchedRun:
        prepared = run_folders.new_folder(workspace)
        SpoolWriter(prepared).begin(RUN, "demo", {}, {})
        return begin.write_down(ready, RUN, prepared, held, unstarted)

    def launched(
        client: FakeClient, backend: FakeBackend, screen: Shown | None = None, *, detach: bool = True
    ) -> list[str]:
        ready, screen = ready_to_start(workspace, client, backend), screen or Shown()
        monkeypatch.setattr(prepare, "prepare", lambda *_, **__: ready)
        monkeypatch.setattr(begin, "new", begun)
        monkeypatch.setattr(reconcile, "in_background", lambda *_: None)
        try:
            launch.launch(workspace, ready.plan, screen, detach=detach)
        finally:
            assert not run_folders.has_launcher(workspace, RUN.id)
        return screen.remarks

    return launched


def test_a_job_is_handed_what_it_needs_and_secrets_apart(start: Callable[..., list[str]]) -> None:
    client, backend = FakeClient(), FakeBackend()
    assert start(client, backend) == []
    assert backend.job.running
    assert client.told == [
        ("r1", "parameters", {"text": "x ***"}),
        ("r1", "inputs", []),
        ("r1", "upload", "source.tar.gz", "trainer/source.tar.gz"),
        ("r1", "upload", "run.json", "trainer/run.json"),
        ("r1", "tags", {"mlflow.note.content": NOTE}),
    ]
    said = backend.launch
    assert said
    assert said.environment == {
        "MLFLOW_TRACKING_URI": "spool+http://host.docker.internal:5000",
        "MLFLOW_RUN_ID": "r1",
        "TRAINER_RUN_ID": "r1",
        "MLFLOW_EXPERIMENT_ID": "7",
    }
    assert said.secret_environment == {"API_KEY": CANARY, "MLFLOW_TRACKING_TOKEN": CANARY}
    assert said.credentials == ("me", CANARY)
    assert CANARY not in repr(said)


def test_code_that_is_too_large_for_the_server_costs_no_training(
    workspace: Workspace, start: Callable[..., list[str]]
) -> None:
    class Small(FakeClient):
        def upload(self, run: Run, path: Path, name: str) -> None:
            if name == "trainer/source.tar.gz":
                path.write_bytes(bytes(2_000_000))
                raise TooLarge("The tracking server answered 413: too large", "Raise its limit.")
            super().upload(run, path, name)

    client, backend = Small(), FakeBackend()
    assert start(client, backend) == [
        "trainer/source.tar.gz (2.0 MB) is too large to be stored: "
        "The tracking server answered 413: too large\n"
        "Without it the run can be neither resumed nor reproduced. It is kept on this disk. Raise its limit. "
        "Then: trainer sync r1 --refused"
    ]
    assert client.told[2] == ("r1", "upload", "run.json", "trainer/run.json")
    [kept] = Spool(run_folder.of(workspace, "r1").spool).pending()
    assert (kept["uri"], kept["path"]) == (RUN.artifact_uri, "trainer")
    assert (run_folder.of(workspace, "r1").spool / str(kept["file"])).stat().st_size == 2_000_000


@pytest.mark.parametrize(
    ("problem", "hint"),
    [
        (
            ServerFailure("The tracking server answered.", "See its log."),
            "Let the server write where it keeps artifacts (--artifacts-destination); "
            "its log says what failed.",
        ),
        (Unavailable("The tracking server answered.", "Run it again later."), "Run it again later."),
    ],
)
def test_a_server_that_fails_to_store_the_code_is_said_to_do_so(
    start: Callable[..., list[str]], problem: TrackingError, hint: str
) -> None:
    class Failing(FakeClient):
        def upload(self, *_: object) -> None:
            raise problem

    client = Failing()
    with fails(
        TrackingError,
        "The run was not started: the artifact trainer/source.tar.gz could not be stored. "
        "The tracking server answered.",
        hint,
    ):
        start(client, FakeBackend())
    assert client.told[-1] == ("r1", "end", "FAILED")


def test_printing_what_a_launch_has_shows_no_secret(workspace: Workspace) -> None:
    ready = ready_to_start(workspace, FakeClient(), FakeBackend())
    assert CANARY not in repr(replace(ready, plan=run_plan(workspace.root)))


def test_a_run_that_cannot_be_started_has_failed(
    workspace: Workspace, start: Callable[..., list[str]]
) -> None:
    client = FakeClient()
    with pytest.raises(ZeroDivisionError):
        start(client, FakeBackend(ZeroDivisionError()))
    assert client.told[-2:] == [
        ("r1", "tags", {"trainer.end": "could not be started"}),
        ("r1", "end", "FAILED"),
    ]
    assert not run_folder.of(workspace, "r1").path.exists()


def test_a_server_that_is_gone_then_is_reported_later(
    workspace: Workspace, start: Callable[..., list[str]]
) -> None:
    with pytest.raises(TrackingError):
        start(FakeClient(fails=True), FakeBackend())
    assert run_folder.of(workspace, "r1").path.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_that_starts_while_it_is_interrupted_does_not_run_on(
    start: Callable[..., list[str]], number: signal.Signals
) -> None:
    client, backend = FakeClient(), FakeBackend(number)
    with pytest.raises(Interrupted):
        start(client, backend)
    assert client.told[-1] == ("r1", "end", "KILLED")
    assert not backend.job.running


def test_an_interruption_between_start_and_output_stops_the_job(
    workspace: Workspace, start: Callable[..., list[str]]
) -> None:
    class Interrupting(Shown):
        """The user presses Ctrl-C when the run is shown."""

        def started(self, run: Run) -> None:  # noqa: ARG002
            os.kill(os.getpid(), signal.SIGINT)

    backend, screen = FakeBackend(), Interrupting()
    with pytest.raises(Interrupted):
        start(FakeClient(), backend, screen, detach=False)
    assert not backend.job.running
    assert run_folders.ended(run_folder.of(workspace, RUN.id)) == "KILLED"
    assert screen.remarks[0].startswith("Of this run, 1 file, 2 other records are on this disk alone: ")


def interrupted_within_the_code_of_a_lock() -> None:
    lock = threading.Lock()
    with lock:
        lock.release()  # as `Condition.wait` does; the signal comes before it is acquired again
        os.kill(os.getpid(), signal.SIGINT)


def test_an_interruption_while_output_waits_for_a_lock_stops_the_job(
    workspace: Workspace, start: Callable[..., list[str]]
) -> None:
    class Waiting(Shown):
        def started(self, run: Run) -> None:  # noqa: ARG002
            interrupted_within_the_code_of_a_lock()

    backend = FakeBackend()
    with pytest.raises(Interrupted):
        start(FakeClient(), backend, Waiting(), detach=False)
    assert not backend.job.running
    assert run_folders.ended(run_folder.of(workspace, RUN.id)) == "KILLED"


def test_an_interruption_while_the_launch_waits_for_a_lock_is_no_failure(
    start: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, backend = FakeClient(), FakeBackend()
    monkeypatch.setattr(launch, "_store", lambda *_: interrupted_within_the_code_of_a_lock())
    with pytest.raises(Interrupted):
        start(client, backend)
    assert client.told[-1] == ("r1", "end", "KILLED")


def test_a_run_that_goes_on_detached_is_running_not_what_it_was(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Server(FakeClient):
        def resume_run(self, run_id: str, tags: Sequence[str]) -> None:
            self._tell(run_id, "resumed", tags)

    ready = ready_to_start(workspace, Server(), FakeBackend())
    monkeypatch.setattr(prepare, "prepare", lambda *_, **__: ready)
    monkeypatch.setattr(reconcile, "in_background", lambda *_: None)
    killed = replace(RUN, status="KILLED")
    earlier = launch.ResumedRun(killed, put(tmp_path / "source.tar.gz"), put(tmp_path / "log"), 1)
    result = launch.launch(workspace, ready.plan, Shown(), detach=True, earlier=earlier)
    assert (result.run.status, result.run.name) == ("RUNNING", "brave-hen")


def test_a_parameter_that_the_server_cuts_is_named(workspace: Workspace) -> None:
    screen = Shown()
    plan = run_plan(workspace.root, parameters={"short": "x" * 6000, "prompt": "x" * 6001})
    begin._remark_on_long(plan, screen)
    assert screen.remarks == [
        "The parameter prompt has 6,001 characters: the tracking server stores the first 6,000.\n"
        "All of it is in the run's artifact trainer/run.json."
    ]
