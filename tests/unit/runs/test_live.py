"""ps, logs, attach, stop and reconcile, on runs of the local backend."""

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from trainer import locks
from trainer.backends.base import JobResult
from trainer.backends.docker import containers
from trainer.engine import daemon
from trainer.runs import reconcile
from trainer.tracking.delivery import SpoolWriter
from trainer.workspace import run_folders
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.settings import Workspace

from unit.helpers import DEAD_ENGINE, HttpServer, Reply, Result
from unit.runs.helpers import API, ID, artifact, knows, live, not_there, record, told

Trainer = Callable[..., Result]


def ended(server: HttpServer) -> list[object]:
    """The statuses that the server was told."""
    return [body["status"] for body in told(server) if isinstance(body, dict) and "status" in body]


def test_ps_settles_what_has_ended_and_lists_what_goes_on(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    gone = record(http_server, name="old-hen", run_id="a" * 32)
    knows(http_server, gone)
    live(workspace, gone, result="0 \n")
    live(workspace, record(http_server))
    shown = trainer("ps")
    assert (shown.code, shown.err) == (0, "Earlier run old-hen: FINISHED\n")
    assert shown.out.split()[:11] == [
        *["RUN", "ID", "PROJECT", "STATE", "SINCE", "IMAGE", "LAUNCHER", "MEMORY", "CPUS"],
        *["brave-hen", "3f4c6bc0"],
    ]
    assert ended(http_server) == ["FINISHED"]
    (said,) = json.loads(trainer("ps", "--json").out)
    assert (said["run_id"], said["state"], said["launcher"]) == (ID, "running", "gone")


def test_without_live_runs_ps_says_so_and_asks_no_engine(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "connect", lambda: pytest.fail("connecting takes a second"))
    assert trainer("ps").out == "No live runs.\n"
    assert trainer("ps", "--json").out == "[]\n"


def test_without_live_runs_ps_mentions_an_engine_that_does_not_answer(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for more in ((), ("--json",)):
        shown = trainer("ps", *more)
        silent = f"No Docker engine answers at {DEAD_ENGINE}: No such file or directory.\n"
        assert (shown.code, shown.err) == (0, silent)
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind("s")  # the whole path may be longer than that of a socket
        engine.listen()
        for answering in ("unix://s", "tcp://127.0.0.1:1", "ssh://elsewhere"):  # one elsewhere is not asked
            monkeypatch.setenv("DOCKER_HOST", answering)
            shown = trainer("ps")
            assert (shown.code, shown.out, shown.err) == (0, "No live runs.\n", "")
    monkeypatch.setenv("DOCKER_HOST", "unix://s")
    assert trainer("ps").err == "No Docker engine answers at unix://s: Connection refused.\n"


def test_a_server_that_never_answers_delays_ps_by_two_seconds_at_most(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    http_server.replies["*"] = [Reply(delay_s=30)]
    live(workspace, record(http_server), result="0 \n")
    start = time.monotonic()
    shown = trainer("ps")
    assert time.monotonic() - start < 15  # and not 30; what it takes beyond the two is that of a busy machine
    assert shown.code == 0
    assert shown.err == "Earlier runs are still being settled in the background: trainer ps\n"
    assert "ended" in shown.out


def test_an_engine_that_is_gone_changes_nothing(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    folder = live(workspace, record(http_server, backend="docker"))
    live(workspace, record(http_server, name="local-hen", run_id="b" * 32))
    shown = trainer("ps")
    assert shown.code == 82
    earlier, error, hint = shown.err.splitlines()
    assert earlier.startswith("Earlier run brave-hen: No Docker engine answers")
    assert error == f"Error: No Docker engine answers at {DEAD_ENGINE}. The state of its runs is unknown."
    assert hint.startswith("Hint:  Start it")
    states = {line.split()[0]: line.split()[3] for line in shown.out.splitlines()[1:]}
    assert states == {"brave-hen": "unknown", "local-hen": "running"}
    as_json = trainer("ps", "--json")
    assert (as_json.code, len(json.loads(as_json.out))) == (82, 2)
    assert trainer("reconcile").code == 82
    assert http_server.asked == []
    assert folder.exists()


def test_a_second_reconcile_changes_nothing(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    knows(http_server, record(http_server))
    live(workspace, record(http_server), output=b"out\n", result="3 \n")
    assert "FAILED" in trainer("reconcile").out
    assert told(http_server) == [
        {
            "run_id": ID,
            "tags": [
                {"key": "trainer.end", "value": "exit code 3"},
                {"key": "trainer.exit_code", "value": "3"},
            ],
        },
        {"run_id": ID, "status": "FAILED", "end_time": pytest.approx(time.time() * 1000, abs=60_000)},
    ]
    before = len(http_server.asked)
    assert trainer("reconcile").out == "Nothing to do: no run is unattended.\n"
    assert len(http_server.asked) == before


def test_a_run_of_another_machine_is_named_and_left_alone(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    live(workspace, record(http_server, host="gpu-box"), result="0 \n")
    shown = trainer("reconcile")
    assert shown.out.splitlines()[1].split() == [ID, "demo", "gpu-box", "ELSEWHERE"]
    assert trainer("ps").out.splitlines()[1].split()[3] == "unknown"
    assert "gpu-box" in trainer("ps").out
    stopped = trainer("stop", "brave-hen")
    assert (stopped.code, stopped.err.splitlines()[0]) == (
        2,
        "brave-hen (3f4c6bc0): The run brave-hen is on gpu-box, not on this machine.",
    )
    assert trainer("logs", "brave-hen").code == 2
    assert trainer("stop", "--all").out == "No live runs.\n"
    assert http_server.asked == []


def test_logs_of_a_live_run_are_masked_and_any_bytes_pass(
    workspace: Workspace, http_server: HttpServer, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    from trainer.cli.main import main

    (workspace.root / "secrets.env").write_text("API_KEY=hunter2-hunter2\n")
    (workspace.root / "secrets.env").chmod(0o600)
    live(workspace, record(http_server), output=b"key hunter2-hunter2 \xff\xfe\n")
    with pytest.raises(SystemExit):
        main(["logs", ID[:4]])
    assert capfdbinary.readouterr().out == b"key *** \xff\xfe\n"
    assert http_server.asked == []


def test_logs_of_an_ended_run_come_from_the_server(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    run = record(http_server)
    live(workspace, run, result="0 \n")
    knows(http_server, run)
    trainer("reconcile")
    assert trainer("logs", "@last").out == "stored output\n"
    http_server.replies[artifact(run, "train.log")] = [not_there()]
    refused = trainer("logs", "@last")
    assert (refused.code, refused.err.splitlines()[0]) == (
        2,
        f"Error: The run brave-hen has no train.log on {http_server.uri}.",
    )


@pytest.mark.parametrize(
    ("status", "tags", "code"),
    [
        ("FINISHED", {"trainer__end": "done", "trainer__exit_code": "0"}, 0),
        ("FAILED", {"trainer__end": "exit code 3", "trainer__exit_code": "3"}, 3),
        ("FAILED", {"trainer__end": "ended by SIGSEGV", "trainer__exit_code": "139"}, 139),
        (
            "FAILED",
            {"trainer__end": "out of memory", "trainer__exit_code": "0", "trainer__out_of_memory": "true"},
            86,
        ),
        ("KILLED", {"trainer__end": "stopped by trainer stop", "trainer__exit_code": "0"}, 87),
        ("KILLED", {"trainer__end": "stopped from outside", "trainer__exit_code": "0"}, 87),
        ("KILLED", {"trainer__end": "cut off", "trainer__exit_code": "0"}, 87),
        ("KILLED", {"trainer__end": "lost"}, 87),
    ],
)
def test_attach_to_an_ended_run_ends_as_it_did(
    workspace: Workspace,
    trainer: Trainer,
    http_server: HttpServer,
    status: str,
    tags: dict[str, str],
    code: int,
) -> None:
    run = record(http_server)
    live(workspace, run, result="0 \n")
    run_folders.remove(workspace, ID)
    knows(http_server, run, status, **tags)
    shown = trainer("attach", "brave-hen")
    assert shown.code == code
    assert shown.out.startswith("stored output\n")
    assert f"{status}  brave-hen" in shown.out


SLEEPER = """
import os, pathlib, signal, sys, time
from trainer import locks
folder = pathlib.Path(sys.argv[1])
lock = locks.acquire(folder / "job.alive")
def end(number, frame):
    (folder / "result").write_text(f"0 {number}\\n")
    os._exit(0)
signal.signal(signal.SIGINT, end)
(folder / "pid").write_text(str(os.getpid()))
time.sleep(60)
"""


def a_job(folder: Path) -> "subprocess.Popen[bytes]":
    """A process that is the run's job until it gets SIGINT, when it exits with 0."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    job = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(folder)], start_new_session=True, env=environment
    )
    give_up = time.monotonic() + 10
    while not (folder / "pid").exists():
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return job


def test_stop_ends_the_job_and_says_killed_and_a_second_one_does_no_harm(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    knows(http_server, record(http_server))
    folder = live(workspace, record(http_server), result="")
    (folder / "result").unlink()
    job = a_job(folder)
    assert trainer("stop", "--all", "--dry-run").out == "brave-hen (3f4c6bc0) would be stopped.\n"
    assert job.poll() is None
    stopped = trainer("stop", "brave-hen", ID)
    assert (stopped.code, stopped.out) == (0, "brave-hen (3f4c6bc0) is stopped.\n")
    assert job.wait(5) == 0
    assert ended(http_server) == ["KILLED"]
    assert {"key": "trainer.end", "value": "stopped by trainer stop"} in told(http_server)[0]["tags"]  # type: ignore[index]
    again = trainer("stop", "brave-hen")
    assert (again.code, again.out) == (0, "brave-hen (3f4c6bc0) has ended already.\n")
    assert ended(http_server) == ["KILLED"]


def test_stop_of_a_run_that_ended_by_itself_meanwhile_keeps_its_end(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    knows(http_server, record(http_server))
    live(workspace, record(http_server), result="0 \n")
    assert trainer("stop", "brave-hen").code == 0
    assert ended(http_server) == ["FINISHED"]


def test_stop_tells_the_server_itself_where_who_looks_after_the_run_hangs(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.runs import stop

    monkeypatch.setattr(stop, "_OTHERS_S", 0.3)
    knows(http_server, record(http_server))
    folder = live(workspace, record(http_server), result="")
    (folder / "result").unlink()
    a_job(folder)
    lock = locks.acquire(folder / "looked-after")
    assert lock
    assert trainer("stop", "brave-hen").code == 0
    assert ended(http_server) == ["KILLED"]
    assert folder.exists()
    lock.release()
    trainer("reconcile")
    assert ended(http_server) == ["KILLED", "KILLED"]


def test_stop_says_so_where_who_looks_after_the_run_has_not_told_the_server(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    folder = live(workspace, record(http_server), result="")
    (folder / "result").unlink()
    lock = locks.acquire(folder / "looked-after")
    assert lock
    job = a_job(folder)

    def look_after() -> None:  # as a launcher whose server does not answer
        job.wait(10)
        run_folders.end(RunFolder(folder), "KILLED")
        time.sleep(0.5)
        lock.release()

    launcher = threading.Thread(target=look_after)
    launcher.start()
    stopped = trainer("stop", "brave-hen")
    launcher.join()
    assert (stopped.code, stopped.out) == (
        0,
        "brave-hen (3f4c6bc0) is stopped. The tracking server does not know yet; later: trainer sync\n",
    )


def test_a_stop_that_the_server_could_not_be_told_is_reported_later(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    folder = live(workspace, record(http_server), result="")
    (folder / "result").unlink()
    job = a_job(folder)
    http_server.replies["*"] = [Reply(500)]
    assert trainer("stop", "brave-hen").code == 84
    assert job.wait(5) == 0
    knows(http_server, record(http_server))
    http_server.asked.clear()
    assert "KILLED" in trainer("reconcile").out


def test_stop_wants_runs_or_all(trainer: Trainer) -> None:
    for arguments in ([], ["--all", "x"]):
        refused = trainer("stop", *arguments)
        assert (refused.code, refused.err.splitlines()[0]) == (2, "Error: Specify which runs to stop.")


def test_a_deleted_run_is_forgotten(workspace: Workspace, trainer: Trainer, http_server: HttpServer) -> None:
    said = knows(http_server, record(http_server))
    said["info"]["lifecycle_stage"] = "deleted"  # type: ignore[index]
    http_server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": said}))]
    folder = live(workspace, record(http_server), result="0 \n")
    assert "DELETED" in trainer("reconcile").out
    assert not folder.exists()
    assert told(http_server) == []


def test_a_run_whose_container_goes_meanwhile_is_taken_for_lost_by_nobody(
    workspace: Workspace, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = record(http_server)
    settled: list[object] = []

    class Gone:
        def end(self) -> JobResult:
            settled.append(reconcile.settle_one(workspace, run.run_id))  # as another process does
            return JobResult(None)

    seen = SimpleNamespace(record=run, workspace=workspace.identity)
    monkeypatch.setattr(containers, "of_runs", lambda **_: [seen])
    monkeypatch.setattr(reconcile, "job_of", lambda *_: Gone())
    assert list(reconcile.reconcile(workspace)) == []
    assert settled == [None]
    assert run_folders.live(workspace) == []
    assert told(http_server) == []


def test_sync_does_not_say_that_all_of_a_live_run_is_on_the_server(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    run = record(http_server)
    _, lock = run_folders.write(workspace, run_folders.new_folder(workspace), run)
    try:
        for more in ([], ["--dry-run"]):
            said = f"Nothing to do. What is still going is delivered by its launcher: {run.name}\n"
            assert trainer("sync", *more).out == said
    finally:
        lock.release()


def test_sync_names_the_server_of_a_run_that_was_started_with_another_one(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    knows(http_server, record(http_server))
    live(workspace, record(http_server), output=b"out\n", result="0 \n")
    for more in (["--dry-run"], []):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)
        assert http_server.uri not in trainer("sync", "--dry-run").err
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
        said = f"1 run goes to {http_server.uri}, the tracking server at launch.\n"
        assert trainer("sync", *more).err == said


def test_a_run_that_its_launcher_did_not_live_to_write_down_is_found_by_its_tag(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    run = record(http_server)
    prepared = run_folders.new_folder(workspace)
    with run_folders.launching(prepared, record(http_server, run_id="", name="")):
        assert trainer("reconcile").out == "Nothing to do: no run is unattended.\n"  # it is alive
    assert trainer("reconcile").code == 84
    assert trainer("ps").err.startswith("Earlier run of demo: The tracking server ")
    assert prepared.path.exists()
    said = knows(http_server, run)
    http_server.replies[f"{API}/experiments/search"] = [
        Reply(body='{"experiments": [{"experiment_id": "7"}]}')
    ]
    http_server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": [said]}))]
    http_server.asked.clear()
    assert trainer("reconcile").out.split()[-4::3] == [ID, "KILLED"]
    *searches, tags, end = told(http_server)
    launch = f"trainer.launch` = '{prepared.path.name}'"
    assert [search["filter"] for search in searches] == [f"tags.`mlflow.{launch}", f"tags.`{launch}"]  # type: ignore[index]
    assert tags == {"run_id": ID, "tags": [{"key": "trainer.end", "value": "stopped before it started"}]}
    assert isinstance(end, dict)
    assert end["status"] == "KILLED"
    assert not prepared.path.exists()


def test_a_launch_that_died_is_called_by_the_name_that_its_user_gave_it(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    prepared = run_folders.new_folder(workspace)
    with run_folders.launching(prepared, record(http_server, run_id="", name="my-hen")):
        pass
    assert trainer("ps").err.startswith("Earlier run my-hen: The tracking server ")
    assert trainer("reconcile").out.splitlines()[1].split()[0] == "my-hen"


def test_an_end_is_reported_with_the_password_that_the_address_of_the_server_has(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    uri = http_server.uri.replace("//", "//me:hunter2@")
    (workspace.root / "trainer.yaml").write_text(f"tracking_uri: {uri}\n")
    gone = record(http_server, name="old-hen", run_id="a" * 32)
    knows(http_server, gone)
    live(workspace, gone, result="0 \n")
    assert trainer("reconcile").code == 0
    assert ended(http_server) == ["FINISHED"]
    expected = "Basic " + base64.b64encode(b"me:hunter2").decode()
    assert {asked.headers.get("Authorization") for asked in http_server.asked} == {expected}


@pytest.mark.parametrize("command", ["reconcile", "sync"])
def test_a_run_that_left_what_nobody_thought_of_does_not_keep_the_others_from_ending(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer, command: str
) -> None:
    odd = record(http_server, name="odd-hen", run_id="a" * 32)
    folder = live(workspace, odd, result="0 \n")
    (folder / "result").unlink()
    (folder / "result").mkdir()
    good = record(http_server, name="good-hen", run_id="b" * 32)
    knows(http_server, good)
    live(workspace, good, result="0 \n")
    done = trainer(command, "--json")
    rows = {row["run_id"]: row for row in json.loads(done.out)}
    assert rows[good.run_id]["status"] == "FINISHED"
    assert ended(http_server) == ["FINISHED"]
    assert rows[odd.run_id]["status"] == "UNKNOWN"
    assert rows[odd.run_id]["error"]
    assert done.code != 0
    assert rows[odd.run_id]["error"] in done.err
    assert "Traceback" in trainer("--debug", command).err


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (Reply(body="1.30.1"), "needs MLflow 2.9 or newer; it is 1.30.1.\n"),
        (
            Reply(404, "no such page"),
            "needs MLflow 2.9 or newer; it is so old that it does not tell its version.\n",
        ),
        (Reply(503, "later"), "Of this run, 1 file, 4 other records are on this disk alone: "),
    ],
)
def test_a_run_that_no_server_knows_is_kept_from_one_that_is_too_old(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer, reply: Reply, found: str
) -> None:
    folder = live(workspace, record(http_server), result="0 \n")
    SpoolWriter(RunFolder(folder)).begin_offline("demo", "brave-hen", {})
    http_server.replies |= {"/version": [reply], "*": [Reply()]}
    done = trainer("sync")
    assert done.code == 84
    assert found in done.err
    assert {asked.method for asked in http_server.asked} == {"GET"}
    assert (folder / "spool" / "journal").exists()


def test_a_run_is_delivered_by_its_name(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    live(workspace, record(http_server), result="0 \n")
    http_server.replies["*"] = [Reply(503, "later")]
    missing = trainer("sync", "bold-fox")
    assert (missing.code, missing.err.splitlines()[0]) == (
        2,
        "Error: Nothing of a run bold-fox is on this disk.",
    )
    named = trainer("sync", "brave-hen", "--dry-run")
    assert named.code == 0, named.err
    assert [line.split()[:2] for line in named.out.splitlines()[1:]] == [[ID[:8], "brave-hen"]]


@pytest.mark.parametrize("command", [["runs"], ["show", "x"], ["compare", "x", "y"], ["doctor", "--json"]])
def test_a_page_in_the_place_of_the_server_is_reported(
    trainer: Trainer, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    html = (("Content-Type", "text/html; charset=utf-8"),)
    http_server.replies["*"] = [Reply(200, "<!doctype html><title>Welcome</title>", html)]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)
    done = trainer(*command)
    assert "bug in trainer" not in done.err
    assert f"What answers at {http_server.uri} is not an MLflow tracking server." in done.err + done.out
