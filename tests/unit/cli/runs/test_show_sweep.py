"""A sweep, as `trainer show` shows it, and how its trials are named."""

import json
from collections.abc import Callable

import pytest
from trainer.errors import InvalidInput
from trainer.runs import resolve
from trainer.tracking import run_tags
from trainer.workspace import run_folders
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Reply, Result, fails
from unit.runs.helpers import API, record
from unit.tracking.histories import START_MS, has, run, searches

Trainer = Callable[..., Result]
SPEC = """\
project: demo
search: {epochs: "int:1,9", kind: [tree, line]}
metrics: {accuracy: maximize}
constraints: [size<=5]
trials: 6
"""
ARTIFACT = "/api/2.0/mlflow-artifacts/artifacts/7/p1/artifacts/sweep/sweep.yaml"


def trial(
    number: int, accuracy: float | None, status: str = "FINISHED", *, run_id: str = "", **tags: str
) -> dict[str, object]:
    metrics = {} if accuracy is None else {"accuracy": accuracy, "size": float(number)}
    return run(
        run_id or f"t{number}", f"trial-{number}", start=START_MS + number + 100 * (not run_id),
        status=status, metrics=metrics,
        took=None if status == "RUNNING" else 5000,
        params={"epochs": str(number), "kind": "tree", "rate": "0.1"},
        tags={"mlflow.parentRunId": "p1", "trainer.trial": str(number)} | tags,
    )  # fmt: skip


PARENT = run("p1", "brave-hen", start=START_MS, tags={"trainer.sweep": "sweep", "trainer.best_run": "t2"})
CHILDREN = [
    trial(4, 0.875, "RUNNING"),
    trial(6, 0.99),  # over the limit of the size
    trial(3, None, "KILLED", pruned="step 3"),
    trial(2, 0.95),
    trial(1, 0.75),
    trial(0, None, "FAILED", **{run_tags.END: "exit code 3"}),
]


@pytest.fixture(autouse=True)
def _server(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)
    http_server.replies[f"{API}/artifacts/list"] = [Reply()]
    http_server.replies[f"{API}/metrics/get-history-bulk-interval"] = [Reply(body='{"metrics": []}')]
    http_server.replies[ARTIFACT] = [Reply(body=SPEC)]


def _found(server: HttpServer, *later: list[dict[str, object]]) -> None:
    """The parent is found by its id, then what follows is."""
    has(server)
    pages = [[PARENT], [], [], *later]
    server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": page})) for page in pages]
    server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": PARENT}))]


@pytest.mark.usefixtures("workspace")
def test_a_sweep_is_shown_with_its_trials_the_best_first(trainer: Trainer, http_server: HttpServer) -> None:
    _found(http_server, CHILDREN)
    lines = [" ".join(line.split()) for line in trainer("show", "p1").out.splitlines()]
    start = lines.index("Trials")
    assert lines[start + 1] == "6 trials: 1 running, 3 finished, 1 pruned, 1 failed; accuracy:maximize"
    assert lines[start + 2] == "TRIAL STATE RUN TOOK accuracy epochs kind"
    rows = [line.split()[0] for line in lines[start + 3 : start + 11]]
    assert rows == ["2", "1", "6", "└─", "0", "└─", "3", "4"]
    assert (lines[start + 6], lines[start + 8]) == ("└─ breaks a constraint", "└─ exit code 3")
    assert lines[start + 3] == "2 * finished t2 5.0 s 0.95 2 tree"
    best = lines.index("Best trial")
    assert lines[best + 1 : best + 4] == ["epochs 2", "kind tree", "Next: trainer show p1/@best"]


@pytest.mark.usefixtures("workspace")
def test_the_first_of_a_pareto_front_is_called_one_of_it(trainer: Trainer, http_server: HttpServer) -> None:
    both = SPEC.replace("{accuracy: maximize}", "{accuracy: maximize, size: minimize}")
    http_server.replies[ARTIFACT] = [Reply(body=both)]
    _found(http_server, CHILDREN)
    said = trainer("show", "p1").out
    assert "\nOne of the 2 best trials, the Pareto front\n  epochs  1\n" in said
    assert "Best trial" not in said


@pytest.mark.usefixtures("workspace")
def test_json_has_all_trials(trainer: Trainer, http_server: HttpServer) -> None:
    _found(http_server, CHILDREN)
    said = json.loads(trainer("show", "p1", "--json").out)
    assert said["children"] == ["t0", "t1", "t2", "t3", "t6", "t4"]
    assert said["sweep"]["best"] == [2]
    assert said["sweep"]["trials"][2]["metrics"] == {"accuracy": 0.95}
    assert said["sweep"]["trials"][5]["is_feasible"] is False


STOPPED = {run_tags.END: "stopped by trainer sweep"}
INTERRUPTED = [
    trial(2, 0.25, "KILLED", run_id="i2", **STOPPED),
    trial(2, 0.25, "FAILED", run_id="f2", **{run_tags.END: "could not be started"}),
]
"""Earlier runs of the best trial, which was interrupted."""


@pytest.mark.usefixtures("workspace")
def test_a_trial_that_was_interrupted_is_what_its_later_run_came_to(
    trainer: Trainer, http_server: HttpServer
) -> None:
    left = trial(7, None, "KILLED", **STOPPED)
    _found(http_server, [left, *CHILDREN, *INTERRUPTED])
    said = json.loads(trainer("show", "p1", "--json").out)["sweep"]
    states = ["failed", "finished", "finished", "pruned", "running", "finished", "stopped"]
    assert [each["state"] for each in said["trials"]] == states
    assert said["best"] == [2]
    assert said["trials"][2]["run_ids"] == ["t2"]


@pytest.mark.usefixtures("workspace")
def test_the_runs_of_a_trial_are_one_for_each_repeat(trainer: Trainer, http_server: HttpServer) -> None:
    of = [{run_tags.REPEAT: str(number)} for number in range(2)]
    runs = [
        trial(2, 0.75, run_id="r1", **of[1]),
        trial(2, 0.25, "KILLED", run_id="i1", **of[1], **STOPPED),
        trial(2, 0.25, run_id="r0", **of[0]),
    ]
    _found(http_server, runs)
    [only] = json.loads(trainer("show", "p1", "--json").out)["sweep"]["trials"]
    assert (only["state"], only["run_ids"], only["metrics"]) == ("finished", ["r0", "r1"], {"accuracy": 0.5})


@pytest.mark.usefixtures("workspace")
def test_a_sweep_that_goes_on_elsewhere_is_shown_by_its_runs(
    trainer: Trainer, http_server: HttpServer
) -> None:
    _found(http_server, CHILDREN)
    http_server.replies[ARTIFACT] = [Reply(404, "{}")]
    done = trainer("show", "p1")
    assert done.code == 0
    assert "Runs within it\n6 trials: 1 RUNNING, 3 FINISHED, 1 FAILED, 1 pruned\n" in done.out


@pytest.mark.usefixtures("workspace")
def test_the_steps_of_a_script_are_runs_within_it(trainer: Trainer, http_server: HttpServer) -> None:
    steps = [run("s1", "fit", metrics={"loss": 0.5}, tags={"mlflow.parentRunId": "p1"})]
    has(http_server)
    outer = run("p1", "outer")
    pages = [[outer], [], [], steps]
    http_server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": page})) for page in pages]
    http_server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": outer}))]
    lines = trainer("show", "p1").out.splitlines()
    start = lines.index("Runs within it")
    assert lines[start + 1] == "1 run: 1 FINISHED"
    assert lines[start + 3].split()[:3] == ["FINISHED", "fit", "s1"]


def test_a_trial_is_named_by_its_sweep(workspace: Workspace, http_server: HttpServer) -> None:
    _found(http_server)
    http_server.replies[f"{API}/runs/get"].append(Reply(body=json.dumps({"run": CHILDREN[3]})))
    assert resolve.resolve(workspace, "p1/@best").run_id == "t2"
    _found(http_server, [trial(2, 0.95)])
    assert resolve.resolve(workspace, "p1/@best:accuracy").run_id == "t2"
    assert searches(http_server)[-1]["filter"] == (
        "attributes.status = 'FINISHED' AND tags.`mlflow.parentRunId` = 'p1'"
    )
    has(http_server)
    pages = [[], [], [], [PARENT], [], [], [trial(3, None), trial(3, None)]]
    http_server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": page})) for page in pages]
    assert resolve.resolve(workspace, "p1/3").run_id == "t3"
    assert searches(http_server)[-1]["filter"] == (
        "tags.`mlflow.parentRunId` = 'p1' AND tags.`trainer.trial` = '3'"
    )
    pages = [[], [], [], [PARENT], [], [], [CHILDREN[3], *INTERRUPTED]]
    http_server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": page})) for page in pages]
    assert resolve.resolve(workspace, "p1/2").run_id == "t2"


def test_a_trial_that_was_started_here_is_known_as_it_was_started(
    workspace: Workspace, http_server: HttpServer
) -> None:
    ours = record(http_server, run_id="t2", name="trial-2")
    run_folders.write(workspace, run_folders.new_folder(workspace), ours)[1].release()
    _found(http_server)
    http_server.replies[f"{API}/runs/get"].append(Reply(body=json.dumps({"run": CHILDREN[3]})))
    assert resolve.live(workspace, "p1/@best") == ours
    has(http_server)
    pages = [[], [], [], [PARENT], [], [], [CHILDREN[3]]]
    http_server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": page})) for page in pages]
    assert resolve.live(workspace, "p1/2") == ours


def test_a_trial_that_there_is_not(workspace: Workspace, http_server: HttpServer) -> None:
    has(http_server)
    pages = [[], [], [], [PARENT], [], [], []]
    http_server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": page})) for page in pages]
    with fails(InvalidInput, "brave-hen has no trial 9.", "Its trials: trainer show p1"):
        resolve.resolve(workspace, "p1/9")
    _found(http_server)
    for status, said in (("RUNNING", "no best trial yet."), ("FINISHED", "no best trial.")):
        _found(http_server)
        unjudged = run("p1", "brave-hen", status=status)
        http_server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": unjudged}))]
        with fails(InvalidInput, f"brave-hen has {said}"):
            resolve.resolve(workspace, "p1/@best")


def test_completion_offers_the_best_of_a_sweep(workspace: Workspace) -> None:
    assert [name for name, _ in resolve.candidates(workspace, "hen/")] == ["hen/@best", "hen/@best:"]
    assert [name for name, _ in resolve.candidates(workspace, "hen/@b")] == ["hen/@best", "hen/@best:"]
    assert resolve.candidates(workspace, "hen/x") == []
