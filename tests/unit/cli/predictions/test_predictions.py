"""`trainer predictions`, on logs that the server has written."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from model_server.prediction_log.sqlite_log import SqliteLog
from support import REPOSITORY
from trainer.predictions import log_file, places
from trainer.workspace.settings import Workspace

from unit.helpers import Result
from unit.model_server import served

Trainer = Callable[..., Result]
NO = {**served.NO, "age": 5}
NEARLY = {"age": 9.75, "plan": "b"}
"""The model is in doubt: no."""


def answer(
    workspace: Workspace, tmp_path: Path, *rows: dict[str, object], name: str = "churn", keep: bool = False
) -> Path:
    """Have the rows answered by a server, one a request; the log's file."""
    model = (served.price if name == "price" else served.churn)(tmp_path / f"{name}.onnx")
    folder = places.folder(workspace, name)
    places.make(folder)
    with served.client(model, log=SqliteLog(folder, limit=10**7, keeps_inputs=keep)) as server:
        for row in rows:
            assert server.post("/predict", json=row).status_code == 200
            time.sleep(0.002)
    return folder / places.FILE


@pytest.fixture
def log(workspace: Workspace, tmp_path: Path) -> Path:
    return answer(workspace, tmp_path, served.YES, NO, NEARLY)


def listed(trainer: Trainer, *options: str) -> list[dict[str, object]]:
    done = trainer("predictions", "list", "--json", *options)
    assert done.code == 0, done.err
    records: list[dict[str, object]] = json.loads(done.out)
    return records


def ids(trainer: Trainer, *options: str) -> list[str]:
    return [str(record["id"]) for record in listed(trainer, *options)]


def history(log: Path) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(log)) as connection:
        return connection.execute("SELECT label, labelled_by FROM labels ORDER BY number").fetchall()


@pytest.mark.usefixtures("log")
def test_the_last_are_listed_first_and_fit_a_terminal(trainer: Trainer) -> None:
    done = trainer("predictions")
    headings, *lines = done.out.splitlines()
    assert headings.split() == ["ID", "TIME", "ANSWER", "CONFIDENCE", "LABEL", "MODEL"]
    assert [line.split()[3] for line in lines] == ["no", "no", "yes"]
    assert re.fullmatch(r"[0-9a-f]{8}  \d{4}-\d\d-\d\d \d\d:\d\d  no +62\.2% +churn", lines[0])
    assert max(map(len, done.out.splitlines())) <= 80
    [first, *_] = listed(trainer)
    assert first["probabilities"] == pytest.approx({"yes": 0.378, "no": 0.622}, abs=0.001)
    assert (first["name"], first["class"], first["label"], first["embedding"]) == ("churn", "no", None, None)


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("options", "answers"),
    [
        (["--class", "yes"], ["yes"]),
        (["--below", "0.7"], ["no"]),
        (["--since", "1h"], ["no", "no", "yes"]),
        (["--since", "2999-01-01"], []),
        (["--limit", "2"], ["no", "no"]),
        (["churn"], ["no", "no", "yes"]),
        (["churn@3"], []),
        (["--labelled"], []),
        (["--unlabelled", "--class", "no"], ["no", "no"]),
        (["--shadow"], []),
    ],
)
def test_some_of_them_are_chosen(trainer: Trainer, options: list[str], answers: list[str]) -> None:
    assert [record["class"] for record in listed(trainer, *options)] == answers


def test_several_models_are_listed_by_time(trainer: Trainer, workspace: Workspace, tmp_path: Path) -> None:
    answer(workspace, tmp_path, served.YES)
    answer(workspace, tmp_path, served.YES, name="price")
    answer(workspace, tmp_path, served.YES, name="other")
    assert [record["name"] for record in listed(trainer)] == ["other", "price", "churn"]
    assert " 6 " in trainer("predictions", "list", "price").out
    assert [record["value"] for record in listed(trainer, "price", "--below", "0.9")] == []


def test_a_label_is_written_beside_the_prediction_with_its_history(trainer: Trainer, log: Path) -> None:
    doubtful, _, _ = ids(trainer)
    done = trainer("predictions", "label", doubtful[:8], "yes")
    assert (done.code, done.out) == (0, f"{doubtful}: yes\n")
    assert trainer("predictions", "label", doubtful.upper(), "no").out == f"{doubtful}: no (was yes)\n"
    assert trainer("predictions", "label", doubtful, "no").code == 0  # says nothing new
    assert trainer("predictions", "label", doubtful, "--clear").out == f"{doubtful}: no label (was no)\n"
    user = os.environ.get("LOGNAME") or os.environ.get("USER")
    assert [label for label, _ in history(log)] == ["yes", "no", None]
    assert all(by and by == (user or by) for _, by in history(log))
    [record, *_] = listed(trainer)
    assert (record["class"], record["label"]) == ("no", None)


@pytest.mark.usefixtures("log")
def test_labels_say_how_often_the_model_is_right(trainer: Trainer) -> None:
    for prediction, label in zip(ids(trainer), ("yes", "no", "yes"), strict=True):
        assert trainer("predictions", "label", prediction, label).code == 0
    assert trainer("predictions").out.splitlines()[-1] == "churn: 3 labels, accuracy 66.7%"
    assert (
        trainer("predictions", "list", "--class", "no").out.splitlines()[-1]
        == "churn: 2 labels, accuracy 50.0%"
    )
    [record, *_] = listed(trainer, "--labelled", "--below", "0.7")
    assert (record["class"], record["label"]) == ("no", "yes")


def test_an_unknown_class_is_refused_unless_it_is_new(trainer: Trainer, log: Path) -> None:
    first, second, _ = ids(trainer)
    refused = trainer("predictions", "label", first, "mabye")
    assert refused.code == 2
    assert refused.err.splitlines()[-2:] == [
        "Error: There is no class mabye.",
        "Hint:  The classes are yes, no. For another one: --new-class",
    ]
    assert history(log) == []
    assert trainer("predictions", "label", first, "maybe", "--new-class").code == 0
    assert trainer("predictions", "label", second, "maybe").code == 0  # it is there now
    assert len(history(log)) == 2


def test_a_regression_is_labelled_with_numbers(
    trainer: Trainer, workspace: Workspace, tmp_path: Path
) -> None:
    answer(workspace, tmp_path, served.YES, name="price")
    [only] = ids(trainer)
    assert trainer("predictions", "label", only, "much").err.splitlines()[-2] == "Error: 'much' is no number."
    assert trainer("predictions", "label", only, "nan").code == 2
    assert trainer("predictions", "label", only, "6.5").code == 0
    assert (
        trainer("predictions", "list", "price").out.splitlines()[-1]
        == "price: 1 label, mean absolute error 0.5"
    )


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["label", "ffffffffffffffff", "yes"], "No prediction has the id ffffffffffffffff."),
        (["label", "abc", "yes"], "'abc' is no id of a prediction."),
        (["label", "not-hex!", "yes"], "'not-hex!' is no id of a prediction."),
        (["label", "abcdef"], "Specify an id and its class, an id and --clear, or --from FILE."),
        (["label", "abcdef", "yes", "--clear"], "Specify an id and its class"),
        (["label"], "Specify an id and its class"),
        (["label", "--from", "none.csv"], "none.csv cannot be read: No such file or directory."),
        (["list", "skin"], "No predictions of skin are logged."),
        (["list", "churn@champion"], "churn@champion is no model with a log."),
        (["list", "--since", "yesterday"], "'yesterday' is no time."),
        (["list", "--below", "2"], "2.0 is not in the range"),
        (["export", "answers.xlsx"], "answers.xlsx ends neither in .csv nor in .jsonl."),
        (["export", "none/answers.csv"], "none/answers.csv cannot be written: No such file or directory."),
    ],
)
def test_what_cannot_be_is_refused(trainer: Trainer, arguments: list[str], said: str) -> None:
    refused = trainer("predictions", *arguments)
    assert refused.code in (2, 92)
    assert said in refused.err.splitlines()[-2]


def test_a_prefix_of_several_is_refused(trainer: Trainer, log: Path) -> None:
    with contextlib.closing(sqlite3.connect(log)) as connection, connection:
        connection.execute("UPDATE predictions SET id = 'abcdabcd1234567' || number")
    refused = trainer("predictions", "label", "abcdabcd", "yes")
    assert refused.err.splitlines()[-1] == "Hint:  Type more of it."
    first = trainer("predictions").out.splitlines()[1].split()[0]
    assert first == "abcdabcd12345673"  # as much as it takes
    assert trainer("predictions", "label", first, "yes").code == 0


def test_a_workspace_without_a_log_says_so(trainer: Trainer) -> None:
    done = trainer("predictions")
    assert (done.code, done.err) == (0, "No predictions are logged.\n")
    assert trainer("predictions", "list", "skin").err.splitlines()[-2:] == [
        "Error: No predictions of skin are logged.",
        "Hint:  `trainer serve MODEL` logs them.",
    ]


@pytest.mark.usefixtures("log")
def test_a_csv_is_exported_labelled_and_read(trainer: Trainer, workspace: Workspace) -> None:
    path = workspace.root / "answers.csv"
    assert trainer("predictions", "export", str(path)).out == f"{path}: 3 predictions\n"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["class"] for row in rows] == ["no", "no", "yes"]
    assert float(rows[0]["probability_yes"]) == pytest.approx(0.378, abs=0.001)
    rows[0]["label"], rows[2]["label"] = "yes", "yes"
    with path.open("w") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert (
        trainer("predictions", "label", "--from", str(path)).out
        == "Labelled 2 predictions; 0 had the label.\n"
    )
    assert (
        trainer("predictions", "label", "--from", str(path)).out
        == "Labelled 0 predictions; 2 had the label.\n"
    )
    assert [record["label"] for record in listed(trainer)] == ["yes", None, "yes"]


@pytest.mark.usefixtures("log")
def test_a_file_is_not_replaced_unless_it_is_asked_for(trainer: Trainer, workspace: Workspace) -> None:
    path = workspace.root / "answers.jsonl"
    path.write_text("mine")
    refused = trainer("predictions", "export", str(path))
    assert refused.code == 2
    assert refused.err.splitlines()[-2] == f"Error: {path} exists."
    assert path.read_text() == "mine"
    assert trainer("predictions", "export", str(path), "churn", "--class", "no", "--force").code == 0
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(record["class"], record["position"]) for record in records] == [("no", 0), ("no", 0)]
    assert [each.name for each in workspace.root.glob(".answers*")] == []


def test_a_wrong_line_labels_nothing(trainer: Trainer, log: Path, workspace: Workspace) -> None:
    path = workspace.root / "labels.csv"
    path.write_text("id,label\n" + f"{ids(trainer)[0]},yes\n" + "0000000000000000,no\n")
    refused = trainer("predictions", "label", "--from", str(path))
    assert refused.err.splitlines()[-2] == f"Error: {path}:3: No prediction has the id 0000000000000000."
    path.write_text("name,label\na,b\n")
    assert "has no columns id and label" in trainer("predictions", "label", "--from", str(path)).err
    path.write_bytes(b"id,label\n\xff,yes\n")
    assert trainer("predictions", "label", "--from", str(path)).code == 2
    assert history(log) == []


@pytest.mark.parametrize("damage", ["corrupt", "newer"])
def test_a_log_that_cannot_be_read_is_named(trainer: Trainer, log: Path, damage: str) -> None:
    if damage == "corrupt":
        log.write_bytes(b"no database" * 1000)
    else:
        with contextlib.closing(sqlite3.connect(log)) as connection, connection:
            connection.execute(f"PRAGMA user_version = {log_file.VERSION + 1}")
    refused = trainer("predictions")
    assert refused.code == 92
    assert str(log) in refused.err.splitlines()[-2]


def offered(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, words: str, number: int) -> list[str]:
    for name, value in (
        ("_TRAINER_COMPLETE", "bash_complete"),
        ("COMP_WORDS", words),
        ("COMP_CWORD", str(number)),
    ):
        monkeypatch.setenv(name, value)
    return trainer().out.split()


@pytest.mark.usefixtures("log")
def test_models_ids_and_classes_are_offered(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    last, *_ = ids(trainer)
    assert offered(trainer, monkeypatch, "trainer predictions list ch", 3) == ["plain,churn"]
    assert f"plain,{last[:8]}" in offered(trainer, monkeypatch, "trainer predictions label ", 3)
    assert offered(trainer, monkeypatch, f"trainer predictions label {last} y", 4) == ["plain,yes"]
    assert offered(trainer, monkeypatch, "trainer predictions list --class ", 4) == ["plain,yes", "plain,no"]


def test_what_the_page_says_of_pandas_works(
    trainer: Trainer, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = places.folder(workspace, "skin")
    places.make(folder)
    with served.client(served.colours(tmp_path / "skin.onnx"), log=SqliteLog(folder, limit=10**7)) as server:
        server.post("/predict", content=served.image(), headers={"Content-Type": "image/png"})
    assert trainer("predictions", "label", ids(trainer)[0], "green").code == 0
    page = (REPOSITORY / "docs" / "prediction-log.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(workspace.root)
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, names)
    assert printed.getvalue().split() == ["class", "red", "label", "green", "1"]
    assert getattr(names["embeddings"], "shape", None) == (1, 3)
    [query] = re.findall(r'"(SELECT date.*?)"', page)
    assert [row[1:3] for row in sqlite3.connect(folder / places.FILE).execute(query)] == [("red", 1)]


def test_the_page_names_every_column(log: Path) -> None:
    page = (REPOSITORY / "docs" / "prediction-log.md").read_text()
    with contextlib.closing(sqlite3.connect(log)) as connection:
        for table in ("predictions", "models", "inputs", "labels"):
            for _, name, *_ in connection.execute(f"PRAGMA table_info({table})"):
                assert f"`{name}`" in page, (table, name)


def test_host_and_server_agree_on_the_file() -> None:
    from model_server.prediction_log import schema

    assert (places.FILE, log_file.APPLICATION_ID, log_file.VERSION) == (
        schema.FILE, schema.APPLICATION_ID, schema.VERSION
    )  # fmt: skip
