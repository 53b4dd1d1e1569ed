"""Cancelling, moving and pausing."""

from __future__ import annotations

import threading
import time

import pytest
from trainer import locks
from trainer.errors import InvalidInput
from trainer.queue import after, changing, entries, listing
from trainer.queue.changing import Cancelled
from trainer.queue.entries import Started
from trainer.workspace import run_folders
from trainer.workspace.settings import Workspace

from unit.helpers import fails
from unit.queue.helpers import queued


def ids(workspace: Workspace) -> list[str]:
    return [each.entry.id for each in listing.listed(workspace)]


def test_what_is_cancelled_is_gone_and_cancelling_it_again_is_no_error(workspace: Workspace) -> None:
    _, folder = queued(workspace, "aa11")
    queued(workspace, "bb22")
    assert list(changing.cancel(workspace, ["aa"])) == [Cancelled("aa11")]
    assert not folder.path.exists()
    assert list(changing.cancel(workspace, ["aa11"])) == [Cancelled("aa11", was_gone=True)]
    assert list(changing.cancel(workspace, ["bb22", "bb"])) == [Cancelled("bb22")]
    with fails(InvalidInput, "There is no entry cc in the queue.", "`trainer queue` lists what is in it."):
        list(changing.cancel(workspace, ["cc"]))


def test_cancelling_a_name_again_is_no_error_and_means_the_last_of_that_name(workspace: Workspace) -> None:
    for entry_id in ("aa11", "bb22"):
        queued(workspace, entry_id, name="slow")
        list(changing.cancel(workspace, ["slow"]))
    assert list(changing.cancel(workspace, ["slow"])) == [Cancelled("bb22", was_gone=True)]
    entry, folder = queued(workspace, "cc33", name="slow")
    entries.end(workspace, entry, folder, "FINISHED", "f" * 32)
    with fails(InvalidInput, "The entry cc33 has become the run ffffffff, which is FINISHED."):
        list(changing.cancel(workspace, ["slow"]))


def test_a_damaged_entry_is_cancelled_by_its_id_unless_its_run_goes_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    live: list[str] = []
    monkeypatch.setattr(run_folders, "is_live", lambda _, run_id: run_id in live)
    for entry_id in ("aa11", "bb22"):
        _, folder = queued(workspace, entry_id)
        folder.record.write_text("{")
        entries.write(folder.started, Started(entry_id * 8, began=True))
    assert list(changing.cancel(workspace, ["aa"])) == [Cancelled("aa11")]
    assert [each.path.name for each in entries.unreadable(workspace)] == ["bb22"]
    assert list(changing.cancel(workspace, ["aa11"])) == [Cancelled("aa11", was_gone=True)]
    live.append("bb22" * 8)
    with fails(InvalidInput, "The entry bb22 (damaged) has begun: it is the run bb22bb22 now."):
        list(changing.cancel(workspace, ["bb22"]))


def test_nothing_is_cancelled_where_one_of_them_has_begun(workspace: Workspace) -> None:
    queued(workspace, "aa11")
    _, folder = queued(workspace, "bb22")
    entries.write(folder.started, Started("f" * 32, began=True))
    with fails(
        InvalidInput,
        "The entry bb22 (demo) has begun: it is the run ffffffff now.",
        "To stop that: trainer stop ffffffff",
    ):
        list(changing.cancel(workspace, ["aa", "bb"]))
    assert ids(workspace) == ["bb22", "aa11"]
    with pytest.raises(InvalidInput, match="has begun"):
        changing.pause(workspace, ["bb"])
    with pytest.raises(InvalidInput, match="has begun"):
        changing.move(workspace, "bb", to_front=True)


def test_a_name_or_a_beginning_that_could_be_two_is_refused(workspace: Workspace) -> None:
    queued(workspace, "aa11", name="first")
    queued(workspace, "aa22")
    with fails(InvalidInput, "aa could be 2 entries: aa11 (first), aa22 (demo).", "Use more of the id."):
        changing.find(workspace, "aa")
    assert changing.find(workspace, "first")[0].id == "aa11"
    queued(workspace, "bb33", name="first")
    with fails(InvalidInput, "first could be 2 entries: aa11 (first), bb33 (first).", "Use one of the ids."):
        changing.find(workspace, "first")
    with fails(InvalidInput, "first could be 2 entries.", "Use one of the ids: trainer queue"):
        after.find(workspace, "first")
    with pytest.raises(InvalidInput):
        changing.find(workspace, "")


def test_cancelling_waits_for_who_is_starting_the_entry(workspace: Workspace) -> None:
    _, folder = queued(workspace, "aa11")
    lock = locks.exclusive(folder.lock)

    def start() -> None:
        time.sleep(0.3)
        entries.write(folder.started, Started("f" * 32, began=True))
        lock.release()

    starter = threading.Thread(target=start)
    starter.start()
    with pytest.raises(InvalidInput, match="has begun"):
        list(changing.cancel(workspace, ["aa"]))
    starter.join()
    assert entries.started(folder) == Started("f" * 32, began=True)


def test_an_entry_is_moved_before_all_or_behind_all_whatever_their_priorities(workspace: Workspace) -> None:
    for number, (name, priority) in enumerate([("aa", 0), ("bb", 5), ("cc", 5), ("dd", -1)]):
        queued(workspace, name, priority=priority, position=number + 1.0)
    assert ids(workspace) == ["bb", "cc", "aa", "dd"]
    changing.move(workspace, "dd", to_front=True)
    assert ids(workspace) == ["dd", "bb", "cc", "aa"]
    changing.move(workspace, "bb", to_end=True)
    assert ids(workspace) == ["dd", "cc", "aa", "bb"]
    changing.move(workspace, "aa", priority=9)
    assert ids(workspace) == ["aa", "dd", "cc", "bb"]
    changing.move(workspace, "bb", priority=9)  # with its age there
    assert ids(workspace) == ["bb", "aa", "dd", "cc"] or ids(workspace) == ["aa", "bb", "dd", "cc"]
