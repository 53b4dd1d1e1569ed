"""Runs within others, as `trainer runs` lists them."""

import csv
import io
import json
import sys
from collections.abc import Callable

import pytest
from trainer.cli import output
from trainer.cli.runs.runs.printed import summary
from trainer.tracking.client import Run
from trainer.tracking.search import Entry

from unit.helpers import HttpServer, Result
from unit.tracking.histories import START_MS, has, run

Trainer = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("workspace")


@pytest.fixture(autouse=True)
def _server(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)


def _sweep(server: HttpServer) -> None:
    """A run with three trials, one of which is a script with a step, and a run of its own."""
    trials = [
        run(
            f"t{number}", f"trial-{number}", start=START_MS + number, status=status, metrics={"acc": 0.5},
            tags={"mlflow.parentRunId": "p1", "trainer.trial": str(number)} | tags,
        )
        for number, (status, tags) in enumerate(
            [("FINISHED", {}), ("KILLED", {"pruned": "step 3"}), ("FAILED", {})], 1
        )
    ]  # fmt: skip
    step = run("s1", "fit", start=START_MS + 9, tags={"mlflow.parentRunId": "t1"})
    other = run("o1", "other", start=START_MS + 20, metrics={"acc": 0.25})
    has(server, [other, step, *reversed(trials), run("p1", "brave-hen", start=START_MS)])


def test_a_parent_has_a_line_of_its_children(trainer: Trainer, http_server: HttpServer) -> None:
    _sweep(http_server)
    heading, *rows = trainer("runs").out.splitlines()
    assert [row.split()[:2] for row in (rows[0], rows[1])] == [
        ["FINISHED", "other"],
        ["FINISHED", "brave-hen"],
    ]
    assert rows[2:] == ["          └─ 3 trials: 1 FINISHED, 1 FAILED, 1 pruned"]
    assert rows[2].index("└") == rows[1].index("brave-hen") == heading.index("RUN")


def test_children_are_listed_below_their_parent(trainer: Trainer, http_server: HttpServer) -> None:
    _sweep(http_server)
    rows = trainer("runs", "--children").out.splitlines()[1:]
    assert [row[10:22].rstrip() for row in rows] == [
        "other",
        "brave-hen",
        "├─ trial-1",
        "│  └─ fit",
        "├─ trial-2",
        "└─ trial-3",
    ]
    assert [row.split()[0] for row in rows] == [
        *("FINISHED", "FINISHED", "FINISHED", "FINISHED", "KILLED", "FAILED")
    ]


def test_a_limit_leaves_children_aside(trainer: Trainer, http_server: HttpServer) -> None:
    _sweep(http_server)
    done = trainer("runs", "--limit", "2")
    assert (len(done.out.splitlines()), done.err) == (4, "")
    _sweep(http_server)
    done = trainer("runs", "--limit", "1")
    assert [row.split()[1] for row in done.out.splitlines()[1:]] == ["other"]
    assert done.err == "There are more than these 1: --limit 0 shows all.\n"


def test_json_and_csv_have_children_behind_their_parent(trainer: Trainer, http_server: HttpServer) -> None:
    whole = [("o1", None), ("p1", None), ("t1", "p1"), ("s1", "t1"), ("t2", "p1"), ("t3", "p1")]
    _sweep(http_server)
    listed = json.loads(trainer("runs", "--json").out)
    assert [(one["run_id"], one["parent"]) for one in listed] == whole
    _sweep(http_server)
    rows = csv.DictReader(io.StringIO(trainer("runs", "--csv").out))
    assert [(row["run_id"], row["parent"] or None) for row in rows] == whole


def test_what_a_filter_finds_is_listed_by_itself(trainer: Trainer, http_server: HttpServer) -> None:
    has(http_server, [run("t1", "trial-1", tags={"mlflow.parentRunId": "p1", "trainer.trial": "1"})])
    done = trainer("runs", "--filter", "tags.mlflow.parentRunId = 'p1'")
    assert [row.split()[1] for row in done.out.splitlines()[1:]] == ["trial-1"]


def _children(*statuses: str, trial: str = "") -> list[Entry]:
    tags = [{"trainer.trial": number} for number in trial] or [{} for _ in statuses]
    return [
        Entry(Run(str(n), "7", "x", status, "", tags=tags[n]), "demo", "demo")
        for n, status in enumerate(statuses)
    ]


@pytest.mark.parametrize(
    ("children", "text"),
    [
        (_children(), ""),
        (_children("FINISHED"), "1 run: 1 FINISHED"),
        (_children("FAILED", "RUNNING", "FINISHED"), "3 runs: 1 RUNNING, 1 FINISHED, 1 FAILED"),
        (_children("FINISHED", "KILLED", trial="12"), "2 trials: 1 FINISHED, 1 KILLED"),
        (_children("FINISHED", "FINISHED", "KILLED", trial="112"), "2 trials (3 runs): 2 FINISHED, 1 KILLED"),
    ],
    ids=["none", "one", "steps", "trials", "repeated"],
)
def test_how_many_children_and_how_they_ended(children: list[Entry], text: str) -> None:
    assert summary(children) == text


def test_a_remark_in_a_table_is_cut_to_the_terminal_and_never_widens_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[tuple[str, str] | output.Remark] = [
        ("one", "a" * 100),
        output.Remark("└─ " + "b" * 80, below=1),
        ("two", "c"),
    ]
    monkeypatch.setenv("TERM", "dumb")  # 80 columns, without colours
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.table(("A", "B"), rows)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["A    B", f"one  {'a' * 75}", f"     {'a' * 25}", f"     └─ {'b' * 71}…", "two  c"]
