"""An entry is started once, or waits: whatever went wrong, and wherever its starter died."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from trainer.errors import EngineError, Interrupted, InvalidInput, NoFreeSlot, TrackingError, TrainerError
from trainer.plan.run_plan import RunPlan
from trainer.queue import entries, fate, pinned, starting
from trainer.queue.entries import Entry, Reason, Started
from trainer.queue.fate import Fate
from trainer.queue.folder import EntryFolder
from trainer.runs import reconcile
from trainer.runs.launch import Result
from trainer.slots.need import Need, Slot
from trainer.tracking.client import Run
from trainer.workspace.settings import Workspace

from unit.helpers import run_plan
from unit.queue.helpers import Nowhere, queued

RUN = Run("f" * 32, "7", "brave-hen", "RUNNING", "x:/")


@dataclass
class Engine:
    """A backend with one slot, and launches that go as they are told."""

    is_free: bool = True
    needs: list[Need] = field(default_factory=list)
    given_back: list[Slot] = field(default_factory=list)
    launched: int = 0
    fails: BaseException | None = None
    fails_with_a_run: BaseException | None = None
    before: Callable[[], None] = lambda: None

    def connect(self) -> None: ...

    def recall(self, *_: object) -> None: ...

    def preflight(self, *_: object) -> None: ...

    def claim(self, need: Need, _: str) -> Slot:
        self.needs.append(need)
        if not self.is_free:
            raise NoFreeSlot("--gpus 1: GPU 0 is in use by sly-fox (1234abcd).", "Wait.")
        return Slot("token")

    def release(self, slot: Slot) -> None:
        self.given_back.append(slot)

    def launch(self, *_: object, created: Callable[[Run], None], slot: Slot, **__: object) -> Result:
        assert slot == Slot("token")
        if self.fails:
            raise self.fails
        created(RUN)
        self.before()
        if self.fails_with_a_run:
            raise self.fails_with_a_run
        self.launched += 1
        return Result(RUN, None)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> Engine:
    made = Engine()
    monkeypatch.setattr("trainer.backends.registry.named", lambda *_: made)
    monkeypatch.setattr(starting, "launch", made.launch)
    plan: RunPlan = run_plan(workspace.root)
    monkeypatch.setattr(pinned, "read", lambda _: (plan, None))
    monkeypatch.setattr(fate, "of_run", lambda *_: Fate("RUNNING"))
    return made


@pytest.fixture
def entry(workspace: Workspace) -> tuple[Entry, EntryFolder]:
    return queued(workspace, "aa", gpus=1, cpus=2, memory="8g")


def test_it_claims_what_it_needs_and_is_started_once(
    workspace: Workspace, engine: Engine, entry: tuple[Entry, EntryFolder]
) -> None:
    attempt = starting.start(workspace, *entry, Nowhere())
    assert (attempt.kind, attempt.run) == ("started", RUN)
    assert engine.needs == [Need("1", 2, "8g")]
    assert entries.started(entry[1]) == Started(RUN.id, began=True)
    assert starting.start(workspace, *entry, Nowhere()).kind == "gone"
    assert (engine.launched, engine.given_back) == (1, [])


def test_without_a_slot_it_waits_and_says_for_whom(
    workspace: Workspace, engine: Engine, entry: tuple[Entry, EntryFolder]
) -> None:
    engine.is_free = False
    assert starting.start(workspace, *entry, Nowhere()).kind == "no slot"
    assert entries.waits(entry[1]) == Reason("--gpus 1: GPU 0 is in use by sly-fox (1234abcd).", "Wait.")
    engine.is_free = True
    assert starting.start(workspace, *entry, Nowhere()).kind == "started"
    assert entries.waits(entry[1]) is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EngineError("The engine is away.", "Start it."), "away"),
        (TrackingError("The server is away.", "Start it."), "away"),
        (InvalidInput("The variable KEY is not set.", "Set it."), "held"),
        (ValueError("a bug"), "held"),
    ],
)
def test_what_is_not_its_fault_it_waits_for_and_all_else_holds_it(
    workspace: Workspace, engine: Engine, entry: tuple[Entry, EntryFolder], error: Exception, kind: str
) -> None:
    engine.fails = error
    attempt = starting.start(workspace, *entry, Nowhere())
    assert attempt.kind == kind
    said = error.message if isinstance(error, TrainerError) else "ValueError: a bug"
    reason = entries.held(entry[1]) if kind == "held" else entries.waits(entry[1])
    assert reason is not None
    assert reason.why == said
    assert engine.given_back == [Slot("token")]
    assert entries.started(entry[1]) is None


@pytest.mark.parametrize("error", [EngineError("No such GPU.", "Look."), InvalidInput("It is odd.", "Look.")])
def test_one_whose_run_failed_to_start_is_held_and_makes_no_second_run_by_itself(
    workspace: Workspace,
    engine: Engine,
    entry: tuple[Entry, EntryFolder],
    monkeypatch: pytest.MonkeyPatch,
    error: TrainerError,
) -> None:
    engine.fails_with_a_run = error
    monkeypatch.setattr(fate, "of_run", lambda *_: Fate("FAILED", had_no_job=True))
    assert starting.start(workspace, *entry, Nowhere()).kind == "held"
    assert entries.started(entry[1]) is None
    assert entries.held(entry[1]) == Reason(error.message, error.hint)


def test_one_whose_slot_was_lost_before_its_job_was_started_waits_again(
    workspace: Workspace, engine: Engine, entry: tuple[Entry, EntryFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.fails_with_a_run = NoFreeSlot("It was given to another one.", "Again.")
    monkeypatch.setattr(fate, "of_run", lambda *_: Fate("FAILED", had_no_job=True))
    assert starting.start(workspace, *entry, Nowhere()).kind == "no slot"
    assert entries.started(entry[1]) is None
    assert entries.held(entry[1]) is None


def test_an_error_after_its_job_was_started_does_not_start_it_twice(
    workspace: Workspace, engine: Engine, entry: tuple[Entry, EntryFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.fails_with_a_run = OSError("no process can be started")
    looked_after: list[str] = []
    monkeypatch.setattr(fate, "of_run", lambda *_: Fate("RUNNING", is_attended=False))
    monkeypatch.setattr(reconcile, "in_background", lambda _, run_id: looked_after.append(run_id))
    assert starting.start(workspace, *entry, Nowhere()).kind == "gone"
    assert entries.started(entry[1]) == Started(RUN.id, began=True)
    assert entries.held(entry[1]) is None
    assert looked_after == [RUN.id]


def test_a_signal_while_it_is_started_leaves_it_waiting(
    workspace: Workspace, engine: Engine, entry: tuple[Entry, EntryFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.fails_with_a_run = Interrupted(2)
    monkeypatch.setattr(fate, "of_run", lambda *_: Fate("KILLED", had_no_job=True))
    with pytest.raises(Interrupted):
        starting.start(workspace, *entry, Nowhere())
    assert entries.started(entry[1]) is None
    assert entries.held(entry[1]) is None
    assert engine.given_back == [Slot("token")]


@pytest.mark.parametrize(
    ("began", "became", "now"),
    [
        (False, Fate("KILLED", had_no_job=True), "waits"),
        (False, Fate("GONE", had_no_job=True), "waits"),
        (False, Fate("RUNNING"), "runs"),
        (False, Fate("FINISHED"), "FINISHED"),
        (False, Fate("FAILED"), "FAILED"),
        (True, Fate("KILLED", had_no_job=True), "KILLED"),  # somebody removed its container
        (True, Fate("RUNNING"), "runs"),
        (True, Fate("FINISHED"), "FINISHED"),
    ],
)
def test_what_a_dead_starter_left_is_waiting_or_running_or_over(
    workspace: Workspace,
    entry: tuple[Entry, EntryFolder],
    monkeypatch: pytest.MonkeyPatch,
    began: bool,
    became: Fate,
    now: str,
) -> None:
    entries.write(entry[1].started, Started(RUN.id, began=began))
    monkeypatch.setattr(fate, "of_run", lambda *_: became)
    for _ in range(2):
        starting.settle(workspace, *entry)
    ended = entries.ended(workspace)
    if now == "waits":
        assert (entries.started(entry[1]), ended) == (None, {})
    elif now == "runs":
        assert (entries.started(entry[1]), ended) == (Started(RUN.id, began=True), {})
    else:
        assert not entry[1].path.exists()
        assert ended["aa"].end == now


def test_while_nobody_can_say_what_became_of_it_nothing_changes(
    workspace: Workspace, entry: tuple[Entry, EntryFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> Fate:
        raise TrackingError("The server is away.", "Start it.")

    monkeypatch.setattr(fate, "of_run", silent)
    entries.write(entry[1].started, Started(RUN.id))
    starting.settle(workspace, *entry)
    assert entries.started(entry[1]) == Started(RUN.id)


def test_a_run_without_a_server_that_never_began_is_forgotten(workspace: Workspace) -> None:
    entry, folder = queued(workspace, "bb", offline=True)
    entries.write(folder.started, Started(RUN.id))
    starting.settle(workspace, entry, folder)
    assert entries.started(folder) is None


def test_one_that_was_cancelled_meanwhile_is_not_started(
    workspace: Workspace, engine: Engine, entry: tuple[Entry, EntryFolder]
) -> None:
    entries.end(workspace, *entry, entries.CANCELLED)
    assert starting.start(workspace, *entry, Nowhere()).kind == "gone"
    assert engine.launched == 0
    assert not entry[1].path.exists()
