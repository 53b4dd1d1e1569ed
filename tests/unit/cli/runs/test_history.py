"""`trainer runs`, `show` and `compare`, as a user sees them."""

import csv
import io
import json
import sys
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest
from trainer.cli.main import main
from trainer.cli.runs.runs import columns
from trainer.cli.runs.runs.printed import print_table
from trainer.tracking.client import Run
from trainer.tracking.search import Entry
from trainer.tracking.search.families import below
from trainer.workspace import run_folders
from trainer.workspace.settings import Workspace

from unit.cli.live.test_progress import on_terminal
from unit.helpers import HttpServer, Reply, Result, put
from unit.runs.helpers import API, record
from unit.tracking.histories import has, run

Trainer = Callable[..., Result]
EVIL = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _server(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)
    points = [
        {"run_id": run_id, "step": s, "value": s, "timestamp": s} for run_id in ("aa1", "bb2") for s in (0, 9)
    ]
    http_server.replies[f"{API}/metrics/get-history-bulk-interval"] = [
        Reply(body=json.dumps({"metrics": points}))
    ]
    http_server.replies[f"{API}/artifacts/list"] = [Reply()]


def two(server: HttpServer) -> list[dict[str, object]]:
    """The server has these two runs, by search and by id."""
    first = run("aa1", EVIL, metrics={"accuracy": 0.5, "system/cpu": 9.0}, params={"rate": "0.1", "n": "1"})
    second = run("bb2", "owl", metrics={"accuracy": 0.75}, params={"rate": f"</td>{EVIL}", "n": "1"},
                 status="FAILED", tags={"trainer.end": "out of memory"})  # fmt: skip
    has(server, [first, second])
    return [first, second]


def found_by_id(server: HttpServer, *runs: dict[str, object]) -> None:
    """Each run is looked for by id, by name, by its id offline; afterwards all are read in this order."""
    searched = [[item] for item in runs for _ in range(3)]
    server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": page})) for page in searched]
    server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": item})) for item in runs]


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        ("delet ab12", "No such command 'delet'. Did you mean 'delete'?", "trainer runs --help"),
        ("delet", "No such command 'delet'. Did you mean 'delete'?", "trainer runs --help"),
        ("delet --json", "No such command 'delet'. Did you mean 'delete'?", "trainer runs --help"),
        ("renam ab12 new", "No such command 'renam'. Did you mean 'rename'?", "trainer runs --help"),
        ("tags", "No such command 'tags'. Did you mean 'tag'?", "trainer runs --help"),
        ("tags @last stage=a", "No such command 'tags'. Did you mean 'tag'?", "trainer runs --help"),
        ("tags @last --remove stage", "No such command 'tags'. Did you mean 'tag'?", "trainer runs --help"),
        ("remove ab12", "No such command 'remove'.", "trainer runs delete RUN"),
        ("show ab12", "No such command 'show'.", "trainer show RUN"),
        ("list delet", "{uri} has no run of a project delet.", "Its experiments are demo."),
        ("forest", "{uri} has no run of a project forest.", "Its experiments are demo."),
        ("forest 5", "Got unexpected extra argument (5)", "trainer runs --help"),
        ("list forest 5", "Got unexpected extra argument (5)", "trainer runs list --help"),
        ("--limit 5 forest 5", "Got unexpected extra argument (5)", "trainer runs --help"),
    ],
    ids=lambda text: str(text).partition(" has")[0],
)
def test_a_command_on_runs_that_is_mistyped(
    trainer: Trainer, http_server: HttpServer, arguments: str, said: str, hint: str
) -> None:
    experiment = {"experiment_id": "7", "name": "demo"}
    http_server.replies["*"] = [Reply(body=json.dumps({"experiments": [experiment]}))]
    done = trainer("runs", *arguments.split())
    assert (done.code, done.out) == (2, "")
    assert done.err == f"Error: {said.format(uri=http_server.uri)}\nHint:  {hint}\n"


def test_a_project_with_a_name_like_a_command(trainer: Trainer, http_server: HttpServer) -> None:
    experiment = {"experiment_id": "7", "name": "tags"}
    http_server.replies["*"] = [Reply(body=json.dumps({"experiments": [experiment]}))]
    for arguments in (["tags"], ["tags", "--limit", "5"], ["--limit", "5", "tags"]):
        done = trainer("runs", *arguments)
        assert (done.out, done.err) == ("No runs.\n", "")


@pytest.mark.parametrize(
    "arguments", [["runs"], ["show", "abc"], ["compare", "a", "b"], ["run", "--like", "a"]]
)
def test_a_clone_starts_no_empty_server_to_look_for_runs(
    trainer: Trainer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    done = trainer(*arguments)
    assert (done.code, done.out) == (84, "")
    assert done.err == (
        "Error: This workspace has no runs, and no tracking server is set.\n"
        "Hint:  `trainer run PROJECT` starts one. To see a team's runs: trainer server connect URL\n"
    )
    assert not workspace.store.exists()


def test_the_table_shows_shared_metrics_and_columns_that_are_asked_for(
    trainer: Trainer, http_server: HttpServer
) -> None:
    two(http_server)
    shown = trainer("runs").out.splitlines()
    assert shown[0].split() == ["STATUS", "RUN", "ID", "PROJECT", "AGE", "TOOK", "accuracy"]
    assert [line.split()[0] for line in shown[1:]] == ["FINISHED", "FAILED"]
    two(http_server)
    asked = trainer("runs", "--columns", "n, metrics.system/cpu").out.splitlines()
    assert asked[0].split()[-2:] == ["n", "metrics.system/cpu"]
    assert asked[1].split()[-2:] == ["1", "9"]


@pytest.mark.usefixtures("workspace")
def test_more_runs_than_the_limit_are_reported(trainer: Trainer, http_server: HttpServer) -> None:
    two(http_server)
    done = trainer("runs", "--limit", "1")
    assert len(done.out.splitlines()) == 2
    assert done.err == "There are more than these 1: --limit 0 shows all.\n"
    two(http_server)
    assert trainer("runs", "--limit", "0").err == ""


@pytest.mark.usefixtures("workspace")
def test_json_and_csv_hold_everything(trainer: Trainer, http_server: HttpServer) -> None:
    two(http_server)
    first, _ = json.loads(trainer("runs", "--json").out)
    assert (first["run_id"], first["duration_seconds"], first["project"]) == ("aa1", 5.0, "demo")
    assert (first["metrics"]["accuracy"], first["parameters"]) == (0.5, {"rate": "0.1", "n": "1"})
    two(http_server)
    rows = list(csv.DictReader(io.StringIO(trainer("runs", "--csv").out)))
    assert [(row["run_id"], row["accuracy"], row["n"]) for row in rows] == [
        ("aa1", "0.5", "1"),
        ("bb2", "0.75", "1"),
    ]
    assert "system/cpu" not in rows[0]


def test_a_live_run_that_lost_its_launcher_is_pointed_out(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    _, lock = run_folders.write(workspace, run_folders.new_folder(workspace), record(http_server))
    two(http_server)
    assert trainer("runs").err == ""
    lock.release()
    two(http_server)
    assert trainer("runs").err == "1 run lost the launcher and may have ended: trainer ps\n"


def test_runs_of_which_the_server_refused_something_are_marked(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    said = "weights.bin (2.0 MB): the server answered 413"
    listed = [
        run("aa1", "hen", metrics={"accuracy": 0.5}),
        run("bb2", "owl", tags={"trainer.refused": f"{said}\x1b[2J"}),  # by another machine
        run("cc3", "elk", tags={"trainer.offline_id": "dd4"}),  # begun while its server was away
    ]
    line = json.dumps({"record": {}, "status": 413, "answer": said})
    kept = put(workspace.state / "refused" / "dd4" / "spool" / "refused", f"{line}\n").parent.parent
    has(http_server, listed)
    done = trainer("runs")
    assert [row.split()[:2] for row in done.out.splitlines()[1:]] == [
        ["FINISHED", "hen"],
        ["FINISHED*", "owl"],
        ["FINISHED*", "elk"],
    ]
    assert done.err == "* The server refused something of 2 runs: trainer show bb2\n"
    has(http_server, listed)
    here = f"The tracking server refused 1 record of the run dd4 for good: {said}. It is in {kept}"
    told = [None, f"{said}\x1b[2J", here]
    assert [row["refused"] for row in json.loads(trainer("runs", "--json").out)] == told
    has(http_server, listed)
    done = trainer("runs", "--csv")
    assert [row["refused"] for row in csv.DictReader(io.StringIO(done.out))] == ["", *told[1:]]
    assert done.err == ""
    # What is said leads on.
    found_by_id(http_server, listed[1])
    assert f"refused: {said}\\x1b[2J" in trainer("show", "bb2").out.splitlines()
    found_by_id(http_server, listed[2])
    assert f"refused: {here}" in trainer("show", "cc3").out.splitlines()


@pytest.mark.usefixtures("workspace")
def test_bad_input_gets_two_lines(trainer: Trainer, http_server: HttpServer) -> None:
    for arguments, message in (
        (
            ("runs", "--columns", "acuracy"),
            "Error: None of the runs shown has a metric, parameter or tag acuracy.",
        ),
        (("runs", "--sort", "acuracy"), "Error: No run has a metric acuracy."),
        (("runs", "--json", "--csv"), "Error: --json and --csv cannot both be printed."),
        (("show", "@best:acuracy"), "Error: No run has a metric acuracy."),
        (("show", "@best:"), "Error: @best: names no metric."),
        (("compare",), "Error: Comparing needs at least two different runs."),
    ):
        two(http_server)
        done = trainer(*arguments)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 2)
        assert done.err.startswith(message + "\n")


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("unseen", ["", "mlflow.trainer."], ids=["of an earlier trainkit", "out of sight"])
def test_show_says_what_a_run_was_made_from_and_how_it_ended(
    trainer: Trainer, http_server: HttpServer, unseen: str
) -> None:
    tags = {"trainer.image": "trainer/small:1", "trainer.code_digest": "ab" * 32, "trainer.git_dirty": "true",
            "mlflow.source.git.commit": "cd" * 20, "mlflow.source.git.branch": "main",
            "trainer.end": "exit code 3", "trainer.exit_code": "3",
            f"{unseen}keras": "3.12.0", f"{unseen}jax": "0.7.2",
            "keras_backend": "jax", "device": "CPU"}  # fmt: skip
    one = run(
        "aa1", "hen\x1b[2J", metrics={"loss": 9.0}, tags=tags, inputs={"digits": "e540"}, status="FAILED"
    )
    has(http_server)
    found_by_id(http_server, one)
    files = (
        [{"path": "model", "is_dir": True}],
        [{"path": "model/MLmodel", "is_dir": False, "file_size": 3400}],
    )
    http_server.replies[f"{API}/artifacts/list"] = [
        Reply(body=json.dumps({"files": listed})) for listed in files
    ]
    lines = [" ".join(line.split()) for line in trainer("show", "aa1").out.splitlines()]
    assert lines[0] == "FAILED hen\\x1b[2J aa1"
    assert lines[lines.index("ended: exit code 3") + 1] == "its output: trainer logs aa1"
    assert {"image trainer/small:1", "code abababababab", "data digits e540"} <= set(lines)
    assert "commit cdcdcdcdcdcd on main, with uncommitted changes" in lines
    assert "keras 3.12.0, backend jax 0.7.2 on CPU" in lines
    assert "loss 9 ▁█ steps 0 to 9" in lines
    assert lines[lines.index("Artifacts") + 1 :] == ["model/", "MLmodel 3.4 kB"]
    found_by_id(http_server, one)
    payload = json.loads(trainer("show", "aa1", "--json").out)
    assert payload["curves"] == {"loss": [[0, 0.0], [9, 9.0]]}
    assert payload["tags"]["trainer.exit_code"] == "3"


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("name", "least", "has_steps"),
    [("loss", 24, True), ("validation_top_3_accuracy", 20, True), ("validation_" * 5, 8, False)],
)
def test_a_curve_fits_the_terminal(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch, name: str, least: int, has_steps: bool
) -> None:
    has(http_server)
    found_by_id(http_server, run("aa1", "hen", metrics={name: -0.00123456}))
    points = [{"run_id": "aa1", "step": s, "value": s, "timestamp": s} for s in range(1000)]
    http_server.replies[f"{API}/metrics/get-history-bulk-interval"] = [
        Reply(body=json.dumps({"metrics": points}))
    ]
    with on_terminal(monkeypatch) as terminal, pytest.raises(SystemExit):
        main(["show", "aa1"])
    line = next(line for line in terminal.lines() if name in line and "▁" in line)
    assert (len(line) <= 80, "steps 0 to 999" in line) == (True, has_steps)
    assert sum(letter in "▁▂▃▄▅▆▇█" for letter in line) >= least


@pytest.mark.usefixtures("workspace")
def test_a_store_that_is_away_hides_nothing_that_the_server_knows(
    trainer: Trainer, http_server: HttpServer
) -> None:
    one = run("aa1", "hen", metrics={"loss": 9.0})
    has(http_server)
    for arguments in ([], ["--json"]):
        found_by_id(http_server, one)
        http_server.replies[f"{API}/artifacts/list"] = [Reply(500, "no such store")]
        done = trainer("show", "aa1", *arguments)
        assert (done.code, "loss" in done.out) == (84, True)
        error, _ = done.err.splitlines()
        assert error == f"Error: The tracking server {http_server.uri} answered 500: no such store"
    assert json.loads(done.out)["artifacts"] is None


@pytest.mark.usefixtures("workspace")
def test_compare_shows_differences_and_all_of_it_when_asked(
    trainer: Trainer, http_server: HttpServer
) -> None:
    runs = two(http_server)
    found_by_id(http_server, *runs)
    shown = trainer("compare", "aa1", "bb2").out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines.index("Parameters 1 more equal") < lines.index("Metrics")
    assert "accuracy 0.5 0.75 (+0.25) *" in lines
    assert "n 1 1" not in lines
    found_by_id(http_server, *runs)
    assert "n 1 1" in [
        " ".join(line.split()) for line in trainer("compare", "aa1", "bb2", "--all").out.splitlines()
    ]
    found_by_id(http_server, *runs)
    payload = json.loads(trainer("compare", "aa1", "bb2", "--json").out)
    assert payload["metrics"]["accuracy"]["differences"] == {"aa1": 0.0, "bb2": 0.25}
    assert payload["metrics"]["accuracy"]["best"] == ["bb2"]


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and what they load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.loads += [
            value or "" for name, value in attrs if name in ("src", "srcset", "data", "xlink:href")
        ]


def test_the_page_escapes_what_runs_say_and_loads_nothing(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    runs = two(http_server)
    found_by_id(http_server, *runs)
    done = trainer("compare", "aa1", "bb2", "--html", "page.html")
    assert (done.code, done.out) == (0, "Written: page.html\n")
    text = (workspace.root / "page.html").read_text()
    page = Page(text)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "script" not in page.elements
    assert not {"link", "img", "iframe", "object"} & set(page.elements)
    assert page.loads == []
    assert "url(" not in text
    assert "@import" not in text
    assert page.elements.count("polyline") == 2


@pytest.mark.usefixtures("workspace")
def test_the_page_has_the_pictures_of_the_runs(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    found_by_id(http_server, *two(http_server))
    listed = [{"path": "matrix.png", "is_dir": False, "file_size": 3},
              {"path": "huge.png", "is_dir": False, "file_size": 10**9}]  # fmt: skip
    http_server.replies[f"{API}/artifacts/list"] = [Reply(body=json.dumps({"files": listed}))]
    for run_id in ("aa1", "bb2"):
        stored = f"/api/2.0/mlflow-artifacts/artifacts/7/{run_id}/artifacts/matrix.png"
        http_server.replies[stored] = [Reply(content=run_id.encode())]
    done = trainer("compare", "aa1", "bb2", "--html", "page.html")
    assert done.code == 0
    assert [line.split(":")[1] for line in done.err.splitlines()] == [
        " huge.png of <script>alert(1)</script>", " huge.png of owl"
    ]  # fmt: skip
    page = Page((workspace.root / "page.html").read_text())
    assert page.loads == ["data:image/png;base64,YWEx", "data:image/png;base64,YmIy"]


def test_no_file_is_overwritten(workspace: Workspace, trainer: Trainer, http_server: HttpServer) -> None:
    kept = Path(workspace.root / "page.html")
    kept.write_text("mine")
    done = trainer("compare", "aa1", "bb2", "--html", "page.html")
    assert (done.code, kept.read_text()) == (2, "mine")
    assert done.err.startswith("Error: page.html already exists.\n")
    assert http_server.asked == []


@pytest.mark.usefixtures("workspace")
def test_best_names_a_run_wherever_a_run_is_named(trainer: Trainer, http_server: HttpServer) -> None:
    first, second = two(http_server)
    http_server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": first}))]
    has(http_server, [second])
    trainer("show", "@best:accuracy")
    asked = [asked.path for asked in http_server.asked if "/runs/get?" in asked.path]
    assert asked == [f"{API}/runs/get?run_id=bb2"]


def unrefused(_: str, __: Mapping[str, str]) -> None:
    """No server refused anything of a run."""


def test_a_narrow_terminal_gets_fewer_of_the_usual_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = {"accuracy": 0.5, "f1": 0.5, "loss": 0.5}
    entries = [Entry(Run("aa1", "7", "hen", "FINISHED", "", metrics), "demo", "demo")]
    usual = columns.informative(entries)
    families = below(entries, ())
    print_table(families, usual, 0.0, unrefused, least=1)
    assert capsys.readouterr().out.split()[6:9] == ["accuracy", "f1", "loss"]  # no terminal at all
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for room, least, shown in ((80, 1, 3), (50, 1, 1), (50, None, 3)):
        monkeypatch.setenv("COLUMNS", str(room))
        print_table(families, usual, 0.0, unrefused, least=least)
        output = "".join(capsys.readouterr().out.split())
        assert ["0.5" in output, output.count("0.5")] == [True, shown]


def test_the_metric_that_a_project_names_comes_first() -> None:
    metrics, tags = {"test_accuracy": 1.0, "kappa": 1.0}, {"trainer.primary_metric": "kappa"}
    entries = [Entry(Run("a", "7", "a", "FINISHED", "", metrics, tags=tags), "demo", "demo")]
    assert [column.name for column in columns.informative(entries)] == ["kappa", "test_accuracy"]


def test_each_project_has_a_usual_column_before_any_has_two() -> None:
    said = [
        ("a", {"accuracy": 1.0, "f1": 1.0, "seconds_fit": 1.0}),
        ("b", {"val_loss": 1.0, "system/cpu": 1.0}),
    ]
    entries = [Entry(Run(p, "7", p, "FINISHED", "", metrics), p, p) for p, metrics in said]
    names = [column.name for column in columns.informative(entries)]
    assert names == ["val_loss", "accuracy", "f1"]
    assert columns.informative(entries, "seconds_fit")[0].name == "seconds_fit"


def test_times_are_no_usual_columns_where_there_is_any_score() -> None:
    times = {f"seconds_{part}": 1.0 for part in ("fit", "load", "split", "evaluate")}
    scores: list[dict[str, float]] = [{"mae": 1.0}, {"accuracy": 1.0}, {"kappa": 1.0}, {}]
    entries = [
        Entry(Run(f"{n}", "7", f"{n}", "FINISHED", "", times | score), "a" if n < 3 else "only-times", "a")
        for n, score in enumerate(scores)
    ]
    assert {column.name for column in columns.informative(entries)} == {"mae", "accuracy", "kappa"}
    assert {column.name for column in columns.informative(entries[3:])} == times.keys()


@pytest.mark.parametrize(
    ("logged", "shown"),
    [
        (
            {"houses": "2bbd2411-validation", "houses.csv": "2bbd2411facc" + "0" * 52},
            "houses.csv 2bbd2411facc",
        ),
        ({"houses": "2bbd2411-validation"}, "houses 2bbd2411-validation"),
        (
            {"other": "77bd2411-train", "houses.csv": "2bbd2411facc" + "0" * 52},
            "houses.csv 2bbd2411facc, other 77bd2411-train",
        ),
    ],
)
@pytest.mark.usefixtures("workspace")
def test_show_names_a_dataset_once(
    trainer: Trainer, http_server: HttpServer, logged: dict[str, str], shown: str
) -> None:
    has(http_server)
    found_by_id(http_server, run("aa1", "hen", inputs=logged))
    http_server.replies[f"{API}/artifacts/list"] = [Reply(body=json.dumps({"files": []}))]
    lines = [" ".join(line.split()) for line in trainer("show", "aa1").out.splitlines()]
    assert f"data {shown}" in lines
