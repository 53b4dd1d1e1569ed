import json
from dataclasses import asdict, replace
from pathlib import Path

from trainer import locks
from trainer.workspace import run_folder, run_folders
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

RECORD = Record("r1", "demo", "docker", "http://127.0.0.1:5000", True, ("API_KEY",))


WRONG = [
    json.dumps({**asdict(RECORD), **change})
    for change in (
        {"run_id": 3},
        {"run_id": "../r1"},
        {"name": None},
        {"host": 3},
        {"is_deleted": 3},
        {"started": "x"},
        {"own_server": "no"},
        {"secret_names": [3]},
    )
]


def unattended(workspace: Workspace) -> list[str]:
    results = []
    for record, lock in run_folders.unattended(workspace):
        results.append(record.run_id)
        lock.release()
    return results


def test_a_run_is_attended_until_the_lock_is_let_go(workspace: Workspace) -> None:
    prepared = run_folders.new_folder(workspace)
    prepared.source.touch()
    folder, lock = run_folders.write(workspace, prepared, RECORD)
    assert folder == run_folder.of(workspace, "r1") == RunFolder(workspace.state / "runs" / "r1")
    assert (folder.path / "source.tar.gz").exists()
    assert not prepared.path.exists()
    assert unattended(workspace) == []
    lock.release()
    assert unattended(workspace) == ["r1"]
    run_folders.remove(workspace, "r1")
    assert unattended(workspace) == []
    assert not folder.path.exists()
    run_folders.remove(workspace, "r1")


def test_what_was_written_is_read(workspace: Workspace) -> None:
    run_folders.write(workspace, run_folders.new_folder(workspace), RECORD)[1].release()
    ((record, lock),) = run_folders.unattended(workspace)
    lock.release()
    assert (record.run_id, record.tracking_uri, record.own_server) == ("r1", "http://127.0.0.1:5000", True)
    assert list(record.secret_names) == ["API_KEY"]


def test_a_renamed_run_has_its_new_name_in_the_history(workspace: Workspace) -> None:
    run_folders.write(workspace, run_folders.new_folder(workspace), RECORD)[1].release()
    run_folders.update(workspace, "r1", lambda record: replace(record, name="baseline"))
    run_folders.update(workspace, "r2", lambda record: replace(record, name="of somebody else"))
    assert run_folders.history(workspace) == [replace(RECORD, name="baseline")]


def test_who_gets_an_unattended_run_is_its_only_attendant(workspace: Workspace) -> None:
    run_folders.write(workspace, run_folders.new_folder(workspace), RECORD)[1].release()
    for _ in run_folders.unattended(workspace):
        assert locks.held(run_folder.of(workspace, "r1").lock)
        assert unattended(workspace) == []


def test_a_run_of_another_machine_is_nobodys_here(workspace: Workspace) -> None:
    elsewhere = replace(RECORD, host="another-machine")
    folder, lock = run_folders.write(workspace, run_folders.new_folder(workspace), elsewhere)
    lock.release()
    folder.lock.unlink()
    assert unattended(workspace) == []
    assert run_folders.live(workspace) == [elsewhere]
    assert not folder.lock.exists()


def test_a_folder_without_a_record_or_with_a_broken_one_is_passed_over(workspace: Workspace) -> None:
    run_folders.new_folder(workspace)
    for content in ("", "{", "[]", '{"run_id": "r2"}', '{"other": 1}', *WRONG):
        run_folders.new_folder(workspace).record.write_text(content)
    assert unattended(workspace) == []
    assert run_folders.live(workspace) == []


def test_what_another_version_wrote_is_read_as_far_as_it_is_known(workspace: Workspace) -> None:
    for run_id, change in (("newer", {"priority": 3}), ("older", {})):
        payload = {**asdict(RECORD), "run_id": run_id, **change}
        if run_id == "older":
            del payload["secret_names"], payload["image"], payload["host"]
        (workspace.state / "runs" / run_id).mkdir(parents=True)
        (workspace.state / "runs" / run_id / "record.json").write_text(json.dumps(payload))
    assert unattended(workspace) == ["newer", "older"]
    assert {record.project for record in run_folders.live(workspace)} == {"demo"}
    assert run_folders.unreadable(workspace) == []


def test_a_launcher_that_died_before_it_renamed_the_folder(workspace: Workspace) -> None:
    prepared = run_folders.new_folder(workspace)
    _, lock = run_folders.write(workspace, prepared, RECORD)
    lock.release()
    run_folder.of(workspace, "r1").path.rename(prepared.path)
    for record, lock in run_folders.unattended(workspace):
        lock.release()
        assert run_folder.of(workspace, record.run_id).path.is_dir()


def test_an_end_that_is_torn_is_none(tmp_path: Path) -> None:
    (tmp_path / "ended").write_bytes(b"\xff\xfe")
    assert run_folders.ended(RunFolder(tmp_path)) is None
