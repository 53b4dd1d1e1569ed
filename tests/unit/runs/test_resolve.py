import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from trainer.errors import InvalidInput
from trainer.runs import edit, reconcile, resolve, server
from trainer.runs.resolve import AmbiguousRun, NoSuchRun
from trainer.server import container_record, process, start
from trainer.tracking import names
from trainer.tracking.client import Run
from trainer.tracking.delivery import SpoolWriter
from trainer.workspace import run_folders
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace
from trainkit.spool.journal import Spool

from unit.helpers import HttpServer, Reply, Result, fails
from unit.runs.helpers import API, ID, knows, live, record


def started(workspace: Workspace, run_id: str, name: str, *, ended: bool = False) -> Record:
    run = Record(run_id, "demo", "docker", "http://127.0.0.1:5000", True, name=name)
    run_folders.write(workspace, run_folders.new_folder(workspace), run)[1].release()
    if ended:
        run_folders.remove(workspace, run_id)
    return run


@pytest.fixture
def three(workspace: Workspace) -> list[Record]:
    """Two ended runs of one name, then a live one."""
    return [
        started(workspace, "ab12", "hen", ended=True),
        started(workspace, "ab34", "hen", ended=True),
        started(workspace, "cd56", "brave-owl"),
    ]


@pytest.mark.parametrize(
    ("said", "which"),
    [("ab12", 0), ("ab1", 0), ("ab3", 1), ("c", 2), ("cd56", 2), ("brave-owl", 2), ("@last", 2)],
)
def test_a_run_is_named_by_id_name_or_last(
    workspace: Workspace, three: list[Record], said: str, which: int
) -> None:
    assert resolve.resolve(workspace, said) == three[which]


@pytest.mark.usefixtures("three")
def test_what_could_be_several_runs_lists_them(workspace: Workspace) -> None:
    for said, hint in (("hen", "Use one of the ids."), ("ab", "Use more of the id.")):
        with fails(AmbiguousRun, f"{said} could be 2 runs: ab12 (hen), ab34 (hen).", hint):
            resolve.resolve(workspace, said)


@pytest.mark.usefixtures("three")
def test_of_several_runs_the_live_one_is_stopped(workspace: Workspace) -> None:
    running = started(workspace, "ee90", "hen")
    assert resolve.live(workspace, "hen") == running
    started(workspace, "ff90", "hen")
    with pytest.raises(AmbiguousRun):
        resolve.live(workspace, "hen")


@pytest.mark.usefixtures("three")
def test_the_name_of_a_run_comes_before_the_beginning_of_an_id(workspace: Workspace) -> None:
    named = started(workspace, "ef78", "ab", ended=True)
    assert resolve.resolve(workspace, "ab") == named


def test_a_container_that_took_over_what_a_process_kept_has_its_runs(
    workspace: Workspace, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(workspace, "ab12", "hen", ended=True)
    monkeypatch.setattr(process, "begin", lambda *_: pytest.fail("the process is started again"))
    monkeypatch.setattr(container_record, "recorded", lambda _: http_server.uri)
    monkeypatch.setattr(start, "revive", lambda _, server: server)  # it runs
    assert server.client_of(workspace, run).server.uri == http_server.uri


def test_last_before_the_first_run(workspace: Workspace) -> None:
    with fails(InvalidInput, "This workspace has started no run yet.", "trainer run PROJECT"):
        resolve.resolve(workspace, "@last")


def test_a_run_of_another_user_is_found_on_the_server(
    workspace: Workspace, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)
    theirs = record(http_server, host="", started=0.0, backend="docker", image="trainer/small:1")
    tags = {
        "trainer__backend": "docker",
        "trainer__image": "trainer/small:1",
        "mlflow__source__name": "a/demo",
    }
    said = knows(http_server, theirs, "FINISHED", **tags)
    experiments = json.dumps({"experiments": [{"experiment_id": "7"}]})
    http_server.replies[f"{API}/experiments/search"] = [Reply(body=experiments)]
    http_server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": [said]}))]
    assert resolve.resolve(workspace, theirs.run_id[:6]) == theirs
    http_server.replies[f"{API}/runs/search"] = [Reply()]
    with fails(NoSuchRun, "There is no run zz."):
        resolve.resolve(workspace, "zz")
    # A step that began while the server was away, by the id that it had then.
    http_server.replies[f"{API}/runs/search"] = [
        Reply(), Reply(), Reply(body=json.dumps({"runs": [said]})),
    ]  # fmt: skip
    assert resolve.resolve(workspace, "0ff1") == theirs
    asked = json.loads(http_server.asked[-1].body)["filter"]
    assert asked == "tags.`trainer.offline_id` LIKE '0ff1%'"


def test_a_run_is_found_by_the_id_that_it_had_before_its_server_gave_it_one(workspace: Workspace) -> None:
    offline = started(workspace, "0ff1", "offline-0ff1")
    run_folders.rename(workspace, offline, "ab12")
    run_folders.remove(workspace, "0ff1")
    run = replace(offline, run_id="ab12", offline_id="0ff1")
    for said in ("0ff", "ab12", "offline-0ff1", "@last"):
        assert resolve.resolve(workspace, said) == run
    assert run_folders.history(workspace) == [run]


@pytest.mark.parametrize("offline_id", [ID, "another"])
def test_the_id_that_a_spool_says_is_a_runs_only_if_its_server_says_so(
    workspace: Workspace, http_server: HttpServer, offline_id: str
) -> None:
    ours, given = record(http_server), record(http_server, run_id="1" * 32)
    folder = RunFolder(live(workspace, ours, result="0 "))
    SpoolWriter(folder).begin(Run(ID, "7", "brave-hen", "RUNNING", "mlflow-artifacts:/7/x"), "demo", {}, {})
    run_folders.end(folder, "FINISHED")
    Spool(folder.spool).name({ID: given.run_id})  # as the run's own script can
    knows(http_server, given, trainer__offline_id=offline_id)
    assert reconcile.settle(workspace, ours, wait=False) == "FINISHED"
    (known,) = run_folders.history(workspace)
    assert known.run_id == (given.run_id if offline_id == ID else ID)


def test_a_deleted_run_is_meant_only_where_no_other_could_be(
    workspace: Workspace, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)
    first, second = (record(http_server, run_id=letter * 32, name="adam") for letter in "ab")
    for one in (first, second):
        run_folders.write(workspace, run_folders.new_folder(workspace), one)[1].release()
        run_folders.remove(workspace, one.run_id)
    said = knows(http_server, second, "FINISHED")
    for call in ("delete", "restore"):
        http_server.replies[f"{API}/runs/{call}"] = [Reply()]
    edit.delete(workspace, ["bbb"])
    for text in ("adam", "@last"):
        assert resolve.resolve(workspace, text) == first
    assert resolve.resolve(workspace, "bbb").run_id == second.run_id
    assert [name for name, _ in resolve.candidates(workspace, "b")] == []

    experiments = json.dumps({"experiments": [{"experiment_id": "7"}]})
    http_server.replies[f"{API}/experiments/search"] = [Reply(body=experiments)]
    http_server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": [said]}))]
    edit.restore(workspace, ["bbb"])
    with fails(AmbiguousRun, "adam could be 2 runs: aaaaaaaa (adam), bbbbbbbb (adam)."):
        resolve.resolve(workspace, "adam")


@pytest.mark.usefixtures("three")
def test_completion_offers_names_first_and_ids_to_who_types_one(workspace: Workspace) -> None:
    offered = resolve.candidates(workspace, "")
    assert [name for name, _ in offered] == ["brave-owl", "hen", "@last", "@best:"]
    assert [name for name, _ in resolve.candidates(workspace, "a")] == ["ab34", "ab12"]
    assert [name for name, _ in resolve.candidates(workspace, "@")] == ["@last", "@best:"]
    assert [name for name, _ in resolve.candidates(workspace, "", live=True)] == ["brave-owl", "@last"]


def test_a_torn_line_of_the_history_is_passed_over(workspace: Workspace, three: list[Record]) -> None:
    with (workspace.state / "runs.jsonl").open("a") as history:
        history.write('{"run_id": "ef')
    assert run_folders.history(workspace) == three


@pytest.mark.usefixtures("three")
def test_a_name_that_is_nearly_a_runs_is_pointed_out(
    workspace: Workspace, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)
    live(workspace, replace(record(http_server), name="nett"), result="0 ")
    http_server.replies[f"{API}/experiments/search"] = [Reply(body=json.dumps({"experiments": []}))]
    http_server.replies[f"{API}/runs/search"] = [Reply()]
    with fails(NoSuchRun, "There is no run netz.", "Did you mean nett?"):
        resolve.resolve(workspace, "netz")
    with fails(NoSuchRun, "There is no run zz."):
        resolve.resolve(workspace, "zz")


def test_an_empty_name_is_refused_with_what_its_command_can_do(workspace: Workspace) -> None:
    with fails(InvalidInput, "A run's name cannot be empty.", "Choose a name."):
        edit.rename(workspace, "@last", " ")
    hint = "Choose a name, or leave --run-name out: one is generated."
    with fails(InvalidInput, "A run's name cannot be empty.", hint):
        names.check("demo", "", {}, {})


@pytest.mark.usefixtures("three")
def test_a_rename_says_which_other_runs_have_the_name(
    workspace: Workspace, trainer: Callable[..., Result], http_server: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)
    ours = record(http_server)
    live(workspace, ours, result="0 ")
    knows(http_server, ours, "FINISHED")
    another = replace(ours, run_id="ff" * 16, name="owl")
    live(workspace, another, result="0 ")
    done = trainer("runs", "rename", ours.run_id[:8], "owl")
    assert (done.code, done.out) == (0, f"Renamed brave-hen ({ID[:8]}) to owl.\n")
    assert done.err.splitlines()[-1] == "Another run has that name: ffffffff. Use the ids."
    assert trainer("runs", "rename", ours.run_id[:8], "eagle").err == ""
