"""Entries as they are written down."""

from __future__ import annotations

import json
import socket

from trainer.queue import entries
from trainer.queue import folder as queue_folder
from trainer.queue.entries import After, Place, Reason, Started
from trainer.workspace.settings import Workspace

from unit.queue.helpers import queued


def test_an_entry_is_read_as_it_was_written(workspace: Workspace) -> None:
    entry, folder = queued(
        workspace, "aa", gpus=2, priority=3, position=7.5, after=(After("run", "f" * 32, "brave-hen"),)
    )
    assert entries.all_entries(workspace) == [(entry, folder)]
    assert entries.place(folder) == Place(3, 7.5)
    assert entry.is_here
    assert str(entry.after[0]) == "brave-hen"


def test_nothing_of_a_half_made_entry_is_in_the_queue(workspace: Workspace) -> None:
    folder = queue_folder.of(workspace).entry("bb")
    folder.path.mkdir(parents=True)
    folder.plan.write_text("{}")
    assert entries.all_entries(workspace) == []
    assert entries.unreadable(workspace) == []


def test_what_another_version_wrote_is_read_as_far_as_it_is_known(workspace: Workspace) -> None:
    _, folder = queued(workspace, "aa")
    payload = json.loads(folder.record.read_text())
    folder.record.write_text(json.dumps({**payload, "schema": entries.SCHEMA, "shape": "round"}))
    assert [entry.id for entry, _ in entries.all_entries(workspace)] == ["aa"]
    for damaged in (json.dumps({**payload, "schema": entries.SCHEMA + 1}), "{", "[]", "{}"):
        folder.record.write_text(damaged)
        assert entries.all_entries(workspace) == []
        assert entries.unreadable(workspace) == [folder]


def test_an_entry_of_another_machine_is_not_started_here(workspace: Workspace) -> None:
    entry, _ = queued(workspace, "aa", host=f"not-{socket.gethostname()}")
    assert not entry.is_here


def test_what_became_of_an_entry_is_remembered_when_it_is_gone(workspace: Workspace) -> None:
    entry, folder = queued(workspace, "aa")
    entries.write(folder.started, Started("f" * 32, began=True))
    entries.end(workspace, entry, folder, "FINISHED", "f" * 32)
    entries.end(workspace, entry, folder, "FINISHED", "f" * 32)
    assert not folder.path.exists()
    ended = entries.ended(workspace)
    assert (list(ended), ended["aa"].end, ended["aa"].run_id) == (["aa"], "FINISHED", "f" * 32)


def test_a_torn_file_of_an_entry_says_nothing(workspace: Workspace) -> None:
    _, folder = queued(workspace, "aa", priority=4)
    folder.place.write_text('{"priority": 4, "posi')
    assert entries.place(folder) == Place()
    folder.held.write_text("")
    assert entries.held(folder) is None
    entries.write(folder.held, Reason("why", "what to do"))
    assert entries.held(folder) == Reason("why", "what to do")


def test_others_see_nothing_of_what_is_queued(workspace: Workspace) -> None:
    _, folder = queued(workspace, "aa")
    assert folder.path.stat().st_mode & 0o077 == 0
