"""`trainer sweep show`: all trials, in the terminal, as JSON, and as a page."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from trainer.cli.sweep import charts, page
from trainer.sweeps import report
from trainer.sweeps.report import SweepView, TrialView
from trainer.sweeps.search.domains import Choices, Interval
from trainer.sweeps.search.objectives import Objective
from trainer.workspace.settings import Workspace

from unit.cli.runs.test_history import EVIL
from unit.cli.runs.test_show_sweep import ARTIFACT, CHILDREN, PARENT, SPEC, trial
from unit.helpers import HttpServer, Reply, Result
from unit.runs.helpers import API, not_there
from unit.sweeps.searching import searched
from unit.tracking.histories import has, run

Trainer = Callable[..., Result]


@pytest.fixture(autouse=True)
def _server(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)
    http_server.replies[ARTIFACT] = [Reply(body=SPEC)]


def _found(server: HttpServer, children: list[dict[str, object]], parent: dict[str, object] = PARENT) -> None:
    has(server)
    pages = [[parent], [], [], children]
    server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": one})) for one in pages]
    server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": parent}))]


@pytest.mark.usefixtures("workspace")
def test_all_trials_are_listed(trainer: Trainer, http_server: HttpServer) -> None:
    many = [trial(number, 0.5) for number in range(30)]
    _found(http_server, many)
    lines = trainer("sweep", "show", "p1").out.splitlines()
    assert lines[:2] == ["brave-hen (p1)  FINISHED  accuracy:maximize", "30 trials: 30 finished"]
    over = 24  # the size of those is more than 5
    assert len(lines) == 3 + 30 + over
    assert lines.count("       └─ breaks a constraint") == over
    _found(http_server, many)
    assert "… and 10 more: trainer sweep show p1" in trainer("show", "p1").out
    _found(http_server, CHILDREN)
    assert json.loads(trainer("sweep", "show", "p1", "--json").out)["best"] == [2]


def test_a_page_is_written_and_none_overwritten(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    _found(http_server, [trial(number, 0.5 + number / 10) for number in range(1, 6)])
    done = trainer("sweep", "show", "p1", "--html", "sweep.html")
    assert (done.code, done.out) == (0, "Written: sweep.html\n")
    text = (workspace.root / "sweep.html").read_text()
    for part in ("Best trial", "accuracy of each trial", "Importance", "accuracy by parameter", "Trials"):
        assert part in text
    again = trainer("sweep", "show", "p1", "--html", "sweep.html")
    assert (again.code, again.err.count("\n")) == (2, 2)
    assert again.err.startswith("Error: sweep.html already exists.\n")


@pytest.mark.usefixtures("workspace")
def test_numbers_are_short_in_the_table(trainer: Trainer, http_server: HttpServer) -> None:
    child = json.loads(
        json.dumps(trial(1, 0.5)).replace('"epochs", "value": "1"', '"epochs", "value": "0.12345678"')
    )
    _found(http_server, [child])
    assert trainer("sweep", "show", "p1").out.splitlines()[-1].split()[-2] == "0.1235"
    _found(http_server, [child])
    [found] = json.loads(trainer("sweep", "show", "p1", "--json").out)["trials"]
    assert found["parameters"]["epochs"] == "0.12345678"


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    "command", [("reproduce", "p1"), ("models", "register", "p1", "--name", "skin"), ("run", "--like", "p1")]
)
def test_what_takes_a_trial_says_so_of_a_sweep(
    trainer: Trainer, http_server: HttpServer, command: tuple[str, ...]
) -> None:
    _found(http_server, [])
    refused = trainer(*command)
    assert refused.code == 2
    assert refused.err.splitlines()[-2:] == [
        "Error: brave-hen is a sweep: code, image and model are those of its trials.",
        "Hint:  Name its best one, p1/@best, or another one, p1/N.",
    ]


@pytest.mark.usefixtures("workspace")
def test_a_sweep_has_no_log_of_its_own(trainer: Trainer, http_server: HttpServer) -> None:
    _found(http_server, [])
    http_server.replies["/api/2.0/mlflow-artifacts/artifacts/7/p1/artifacts/train.log"] = [not_there()]
    refused = trainer("logs", "p1")
    assert refused.code == 2
    error, hint = refused.err.splitlines()[-2:]
    assert error == "Error: brave-hen is a sweep, which has no log of its own."
    assert "trainer logs p1/N" in hint


@pytest.mark.usefixtures("workspace")
def test_a_run_that_is_no_sweep(trainer: Trainer, http_server: HttpServer) -> None:
    _found(http_server, [], run("p1", "brave-hen"))
    done = trainer("sweep", "show", "p1")
    assert done.code == 2
    assert done.err.endswith("Error: brave-hen is no sweep.\nHint:  Show it as a run: trainer show p1\n")


def _view(
    *trials: TrialView, objectives: tuple[Objective, ...] = (Objective("acc", "maximize"),)
) -> SweepView:
    best = report.best_of(objectives, trials)
    return SweepView(objectives, ("lr", "kind"), trials, best, 9, name=f"hen{EVIL}", run_id="p1")


TRIALS = [
    TrialView(n, {"lr": f"1e-{n + 2}", "kind": kind}, "finished", (n / 10, 5.0 - n), took_s=3)
    for n, kind in enumerate(("a", EVIL, "a"))
] + [TrialView(3, {}, "failed", why=EVIL)]  # fmt: skip


def test_the_page_asks_no_network_runs_no_script_and_takes_no_text_for_html() -> None:
    spec = searched("lr=loguniform:1e-5,1e-1", "kind=a,b")
    spec = replace(
        spec, dimensions=(spec.dimensions[0], replace(spec.dimensions[1], domain=Choices(("a", EVIL))))
    )
    text = page.render(_view(*TRIALS), spec, {"lr": 0.75, "kind": 0.25}, "javascript:alert(1)")
    assert "<script" not in text
    assert "javascript:" not in text
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(http|//)", text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert text.count('class="best-point"') == 3  # in the history and in two slices


def test_charts_of_little_are_left_out() -> None:
    one = _view(TRIALS[0], TRIALS[3])
    assert charts.history(one) == ""
    assert charts.importances({}) == ""
    assert list(charts.slices(one, {})) == []
    same = _view(*(replace(TRIALS[0], number=number) for number in range(3)))
    assert "nan" not in charts.history(same)


@pytest.mark.parametrize(
    ("domain", "labels"),
    [
        (Interval(1e-5, 1e-1, log=True), ["1e-05", "0.001", "0.1"]),
        (Interval(16, 64, log=True, whole=True), ["16", "64"]),
        (Interval(2, 8, whole=True), ["2", "4", "6", "8"]),
        (Choices(("adam", "sgd")), ["adam", "sgd"]),
        (Choices(tuple("abcdefgh")), ["a", "h"]),
    ],
)
def test_the_marks_of_a_parameter(domain: Interval | Choices, labels: list[str]) -> None:
    assert [word for _, word in charts.scale_of(domain).labels] == labels
