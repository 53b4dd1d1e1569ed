"""What is started when, on a machine whose slots are known."""

from __future__ import annotations

import threading
import time

import pytest
from trainer import locks
from trainer.queue import changing, entries, fate, listing, order, work
from trainer.queue import folder as queue_folder
from trainer.queue.entries import After, Reason
from trainer.queue.fate import Fate
from trainer.queue.starting import Attempt
from trainer.queue.work import Pass
from trainer.workspace.settings import Workspace

from unit.queue.helpers import Machine, Nowhere, queued


@pytest.fixture(autouse=True)
def _no_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fate, "of_run", lambda *_: Fate("RUNNING"))


def looked(workspace: Workspace, machine: Machine) -> Pass:
    return work.one_pass(workspace, Nowhere(), machine.start)


def states(workspace: Workspace) -> dict[str, str]:
    return {each.entry.id: f"{each.state}: {each.why}" for each in listing.listed(workspace)}


def test_entries_start_in_their_order_as_slots_become_free(workspace: Workspace) -> None:
    machine = Machine(gpus=1)
    for number, (name, priority) in enumerate([("aa", 0), ("bb", 0), ("cc", 5)]):
        queued(workspace, name, gpus=1, priority=priority, position=number + 1.0)
    for name in ("cc", "aa", "bb"):
        assert looked(workspace, machine).started[0][0].id == name
        assert looked(workspace, machine).started == ()
        machine.end(workspace, name)
    assert machine.started == ["cc", "aa", "bb"]
    assert looked(workspace, machine) == Pass()


def test_small_ones_fill_the_gap_until_the_large_one_is_overdue(workspace: Workspace) -> None:
    machine = Machine(gpus=2, has={"other": 1})
    queued(workspace, "ff", gpus=2, position=1.0)
    small = [f"{number:02}" for number in range(order.MOST_TIMES + 2)]
    for number, name in enumerate(small):
        queued(workspace, name, gpus=1, position=number + 2.0)
    for name in small[: order.MOST_TIMES]:
        assert [entry.id for entry, _ in looked(workspace, machine).started] == [name]
        machine.end(workspace, name)
    assert looked(workspace, machine).started == ()  # though one GPU is free
    assert states(workspace)[small[-1]] == "waiting: for ff, which has been passed over long enough"
    del machine.has["other"]
    assert [entry.id for entry, _ in looked(workspace, machine).started] == ["ff"]


def test_an_entry_begins_after_another_one_has_finished(workspace: Workspace) -> None:
    machine = Machine()
    queued(workspace, "aa", gpus=1)
    queued(workspace, "bb", gpus=1, after=(After("entry", "aa"),))
    assert [entry.id for entry, _ in looked(workspace, machine).started] == ["aa"]
    assert states(workspace)["bb"] == "waiting: after aa"
    assert looked(workspace, machine).waits
    machine.end(workspace, "aa")
    assert [entry.id for entry, _ in looked(workspace, machine).started] == ["bb"]


@pytest.mark.parametrize(
    ("end", "said"),
    [("FAILED", "is FAILED"), ("KILLED", "is KILLED"), ("GONE", "is gone"), ("CANCELLED", "was cancelled")],
)
def test_an_entry_whose_predecessor_did_not_finish_is_held_and_says_why(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, end: str, said: str
) -> None:
    machine = Machine()
    queued(workspace, "aa")
    queued(workspace, "bb", after=(After("entry", "aa"),))
    looked(workspace, machine)
    monkeypatch.setattr(fate, "of_run", lambda *_: Fate(end))
    machine.end(workspace, "aa", end)
    assert looked(workspace, machine) == Pass()
    [held] = listing.listed(workspace)
    assert (held.state, held.why) == ("held", f"{held.entry.after[0]}, which it was to follow, {said}")
    assert held.hint == "To start it all the same: trainer queue resume bb"
    changing.resume(workspace, ["bb"])
    assert [entry.id for entry, _ in looked(workspace, machine).started] == ["bb"]


def test_a_run_that_was_resumed_and_finished_releases_what_follows_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued(workspace, "bb", after=(After("run", "f" * 32, "brave-hen"),))
    for status, state in (("FAILED", "held"), ("RUNNING", "waiting"), ("FINISHED", "waiting")):
        monkeypatch.setattr(fate, "of_run", lambda *_, status=status: Fate(status))
        assert states(workspace)["bb"].startswith(state)
    assert len(looked(workspace, Machine()).started) == 1


def test_one_that_cannot_be_started_is_held_and_the_next_is_tried(workspace: Workspace) -> None:
    reason = Reason("The image is gone.", "Queue it again.")
    machine = Machine(refuses={"aa": Attempt("held", reason=reason)})
    queued(workspace, "aa", position=1.0)
    queued(workspace, "bb", position=2.0)
    done = looked(workspace, machine)
    assert [entry.id for entry, _ in done.started] == ["bb"]
    assert [(entry.id, why) for entry, why in done.held] == [("aa", reason)]
    assert not done.waits
    assert states(workspace)["aa"] == "held: The image is gone."
    machine.refuses.clear()
    assert looked(workspace, machine).started == ()
    changing.resume(workspace, ["aa"])
    assert len(looked(workspace, machine).started) == 1


def test_while_the_engine_is_away_nothing_is_tried_and_nothing_is_held(workspace: Workspace) -> None:
    machine = Machine(refuses={"aa": Attempt("away", reason=Reason("The engine is away."))})
    queued(workspace, "aa", position=1.0)
    queued(workspace, "bb", position=2.0)
    done = looked(workspace, machine)
    assert (done.started, done.held, done.waits, done.is_away) == ((), (), True, True)


def test_a_paused_queue_starts_nothing_and_goes_on_when_it_is_resumed(workspace: Workspace) -> None:
    machine = Machine()
    queued(workspace, "aa")
    changing.pause(workspace, [])
    assert looked(workspace, machine) == Pass()
    assert states(workspace)["aa"] == "waiting: the queue is paused"
    changing.resume(workspace, [])
    assert len(looked(workspace, machine).started) == 1


def test_an_entry_that_is_paused_lets_the_others_pass(workspace: Workspace) -> None:
    machine = Machine(gpus=1)
    queued(workspace, "aa", gpus=1, position=1.0)
    queued(workspace, "bb", gpus=1, position=2.0)
    changing.pause(workspace, ["aa"])
    assert [entry.id for entry, _ in looked(workspace, machine).started] == ["bb"]
    assert states(workspace)["aa"] == "held: paused"


def test_entries_of_other_machines_and_those_that_cannot_be_read_are_left_alone(workspace: Workspace) -> None:
    queued(workspace, "aa", host="elsewhere")
    _, folder = queued(workspace, "bb")
    folder.record.write_text("{")
    assert looked(workspace, Machine()) == Pass()
    assert states(workspace) == {"aa": "elsewhere: on elsewhere"}
    assert folder.path.exists()


def test_two_that_look_at_once_start_nothing_twice(workspace: Workspace) -> None:
    machine = Machine(gpus=100)
    for number in range(20):
        queued(workspace, f"{number:02}", gpus=1)
    threads = [threading.Thread(target=looked, args=(workspace, machine)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(machine.started) == [f"{number:02}" for number in range(20)]


def test_whoever_waits_sees_soon_what_was_queued_meanwhile(workspace: Workspace) -> None:
    machine, began = Machine(), time.monotonic()
    queued(workspace, "aa", gpus=2)
    seen: list[str] = []

    def goes_on(done: Pass) -> bool:
        seen.extend(entry.id for entry, _ in done.started)
        if seen == ["aa"] and not added.is_alive() and "bb" not in known():
            raise AssertionError("it was to be queued")
        return "bb" not in seen

    def known() -> list[str]:
        return [entry.id for entry, _ in entries.all_entries(workspace)]

    def add() -> None:
        time.sleep(1.5)
        queued(workspace, "bb")

    added = threading.Thread(target=add)
    added.start()
    work.keep_starting(workspace, Nowhere(), goes_on, machine.start)
    added.join()
    assert time.monotonic() - began < 2.5


def test_a_process_that_attends_ends_when_nothing_waits_and_misses_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def one_pass(*_: object) -> Pass:
        held = locks.held(queue_folder.of(workspace).attended)
        looks.append("locked" if held else "free")
        return Pass(waits=len(looks) == 2)  # queued just when the first one had looked

    monkeypatch.setattr(work, "one_pass", one_pass)
    queue_folder.of(workspace).path.mkdir(parents=True)
    work.attend(workspace, Nowhere())
    assert looks == ["locked", "free", "locked", "free"]


def test_a_process_is_started_for_what_waits_alone_and_only_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr("subprocess.Popen", lambda command, **_: commands.append(command))
    work.in_background(workspace)
    assert commands == []
    queued(workspace, "aa")
    with locks.exclusive(queue_folder.of(workspace).attended):
        work.in_background(workspace)
    changing.pause(workspace, [])
    work.in_background(workspace)
    assert commands == []
    changing.resume(workspace, [])
    work.in_background(workspace)
    assert [command[-2:] for command in commands] == [["queue", "attend"]]
