"""`trainer predict` with an ONNX file, in no workspace and without a server."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from trainer.models.predict import maps
from trainkit.inference.description import Category, Description, Number, OneHot, Scaled, Table
from trainkit.inference.predictor import Pixels, Predictor

from unit.helpers import Result, called, put
from unit.trainkit.inference.models import write, write_colours

Trainer = Callable[..., Result]
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
CHURN = Table(
    columns=(Number(name="age"), Category(name="plan", values=("basic", "plus"))),
    encoding=(
        Scaled(column="age", missing=40, mean=40, deviation=10),
        OneHot(column="plan", categories=("basic", "plus")),
    ),
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which lies in no workspace and has a model of colours."""
    write_colours(tmp_path / "colours.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trainer(here: Path, capfd: pytest.CaptureFixture[str]) -> Trainer:  # noqa: ARG001
    return called(capfd)


def picture(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((30, 40, 3), COLOURS[colour], np.uint8)).save(path)
    return path


def churn(path: Path, task: str = "classification") -> Path:
    """A model of rows: of the older and those with a plan `plus`, more are said to go."""
    classes = ("no", "yes") if task == "classification" else ()
    weights = np.array([[-1.0, 1.0], [0.0, 0.0], [-1.0, 1.0]])[:, 2 - max(1, len(classes)) :]
    nodes = [helper.make_node("MatMul", ["numbers", "weights"], ["scores"])]
    if classes:
        nodes.append(helper.make_node("Softmax", ["scores"], ["answers"], axis=1))
    else:
        nodes.append(helper.make_node("Identity", ["scores"], ["answers"]))
    description = Description.model_validate(
        {"task": task, "classes": classes, "target": "left", "input": CHURN, "output": "answers",
         "framework": "scikit-learn 1.9"}
    )  # fmt: skip
    return write(
        path,
        nodes,
        [helper.make_tensor_value_info("numbers", TensorProto.DOUBLE, ["n", 3])],
        [helper.make_tensor_value_info("answers", TensorProto.DOUBLE, ["n", weights.shape[1]])],
        description,
        [numpy_helper.from_array(weights, "weights")],
    )


def test_one_image_has_its_classes_in_order(trainer: Trainer, here: Path) -> None:
    picture(here / "sky.png", "blue")
    done = trainer("predict", "colours.onnx", "sky.png")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "sky.png"
    assert [line.split()[:2] for line in lines[1:]] == [
        ["CLASS", "CONFIDENCE"], ["blue", "96.5%"], ["green", "1.8%"], ["red", "1.8%"],
    ]  # fmt: skip
    assert trainer("predict", "colours.onnx", "sky.png", "--top", "1").out.splitlines()[2:] == lines[2:3]


def test_images_and_folders_are_answered_in_their_order(trainer: Trainer, here: Path) -> None:
    picture(here / "b.png", "green")
    for name in ("many/2.PNG", "many/1.bmp", "many/deeper/3.png", "many/.hidden/4.png"):
        picture(here / name)
    put(here / "many/notes.txt", "no image")
    done = trainer("predict", "colours.onnx", "b.png", "many", "many/1.bmp", "--top", "2")
    assert (done.code, done.err) == (0, "")
    assert [line.split() for line in done.out.splitlines()] == [
        ["IMAGE", "CLASS", "CONFIDENCE", "NEXT"],
        ["b.png", "green", "96.5%", "blue", "1.8%"],
        *([f"many/{name}", "red", "96.5%", "blue", "1.8%"] for name in ("1.bmp", "2.PNG", "deeper/3.png")),
    ]


def test_json_has_all_probabilities_and_which_model_it_was(trainer: Trainer, here: Path) -> None:
    picture(here / "a.png")
    payload = json.loads(trainer("predict", "colours.onnx", "a.png", "--json").out)
    assert payload["model"]["name"] == "colours.onnx"
    assert len(payload["model"]["sha256"]) == 64
    [answer] = payload["predictions"]
    assert (answer["input"], answer["class"]) == ("a.png", "red")
    assert answer["confidence"] == pytest.approx(np.exp(4) / (np.exp(4) + 2), abs=1e-6)
    assert list(answer["probabilities"]) == ["red", "blue", "green"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-6)


def test_csv_has_a_column_for_each_class(trainer: Trainer, here: Path) -> None:
    picture(here / "a, b.png")
    [row] = csv.DictReader(io.StringIO(trainer("predict", "colours.onnx", "a, b.png", "--csv").out))
    assert (row["input"], row["class"]) == ("a, b.png", "red")
    assert list(row)[3:] == ["probability_blue", "probability_green", "probability_red"]
    assert row["confidence"] == row["probability_red"]


def test_an_image_that_is_broken_is_named_and_the_others_are_answered(trainer: Trainer, here: Path) -> None:
    for number in range(40):
        picture(here / f"photos/{number:02}.png")
    put(here / "photos/17.png", "no image")
    put(here / "photos/18.png")
    done = trainer("predict", "colours.onnx", "photos")
    assert done.code == 2
    folder, _, first, *others = done.out.splitlines()
    assert (folder, first.split()[0], len(others)) == ("photos", "00.png", 37)
    assert done.err.splitlines() == [
        "Not read: photos/18.png: empty file",
        "Error: 2 images could not be read, the first: photos/17.png: not an image",
        "Hint:  The others are answered. Fix or remove it.",
    ]
    done = trainer("predict", "colours.onnx", "photos", "--json")
    payload = json.loads(done.out)
    assert (done.code, len(payload["predictions"])) == (2, 38)
    assert [each["input"] for each in payload["unanswered"]] == ["photos/17.png", "photos/18.png"]


def test_one_broken_image_alone_is_an_error_of_two_lines(trainer: Trainer, here: Path) -> None:
    put(here / "a.png", "no image")
    done = trainer("predict", "colours.onnx", "a.png")
    assert (done.code, done.out) == (2, "")
    assert done.err == "Error: a.png: not an image\nHint:  Fix or remove it.\n"


def test_what_was_converted_is_said(trainer: Trainer, here: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(np.zeros((9, 9, 4), np.uint8), "CMYK").save(here / name)
    assert trainer("predict", "colours.onnx", "a.jpg", "b.jpg").err == "2 images: CMYK\n"


def test_an_image_comes_on_stdin(trainer: Trainer, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = picture(here / "a.png").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    done = trainer("predict", "colours.onnx", "-")
    assert (done.code, done.out.splitlines()[0]) == (0, "stdin")


def test_rows_have_the_columns_beside_them_that_are_kept(trainer: Trainer, here: Path) -> None:
    churn(here / "churn.onnx")
    put(here / "c.csv", "id,age,plan,left\nA,20,basic,no\nB,,plus,\nC,60,gold,yes\n")
    done = trainer("predict", "churn.onnx", "c.csv", "--keep", "id", "--top", "1")
    assert done.code == 0
    assert done.err == "c.csv has categories that training has not seen: plan 'gold' in row 3.\n"
    assert [line.split() for line in done.out.splitlines()] == [
        ["ROW", "id", "CLASS", "CONFIDENCE"],
        ["1", "A", "no", "98.2%"],
        ["2", "B", "yes", "88.1%"],
        ["3", "C", "yes", "98.2%"],
    ]
    put(here / "d.csv", "age,plan,id\n1,basic,D\n")
    out = trainer("predict", "churn.onnx", "c.csv", "d.csv", "--keep", "id", "--csv").out
    assert [row[:4] for row in csv.reader(io.StringIO(out))][::4] == [
        ["input", "row", "id", "class"], ["d.csv", "1", "D", "no"],
    ]  # fmt: skip


def test_a_quantity_is_a_number(trainer: Trainer, here: Path) -> None:
    churn(here / "size.onnx", "regression")
    put(here / "c.csv", "age,plan\n60,basic\n60,plus\n")
    assert [line.split() for line in trainer("predict", "size.onnx", "c.csv").out.splitlines()] == [
        ["ROW", "left"], ["1", "2"], ["2", "3"],
    ]  # fmt: skip
    payload = json.loads(trainer("predict", "size.onnx", "c.csv", "--json").out)
    assert payload["predictions"][1] == {"input": "c.csv", "row": 2, "value": 3.0}
    assert (
        trainer("predict", "size.onnx", "c.csv", "--csv").out == "input,row,left\nc.csv,1,2.0\nc.csv,2,3.0\n"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("age,plan\n20,basic\nold,plus\n", "c.csv: Row 2: column 'age' has 'old', which is no number."),
        ("age\n20\n", "c.csv: Row 1 has no column 'plan'."),
        ("age,plan,id\n20,basic,7\n", "c.csv: Row 1 has a column 'id', which the model does not take."),
        ("age,plan\n20\n", "c.csv: row 1 has 1 cells, and the header has 2."),
        ("", "c.csv is empty."),
    ],
)
def test_a_row_that_is_wrong_is_named_and_nothing_is_answered(
    trainer: Trainer, here: Path, content: str, message: str
) -> None:
    churn(here / "churn.onnx")
    put(here / "c.csv", content)
    done = trainer("predict", "churn.onnx", "c.csv")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[0] == f"Error: {message}"
    assert len(done.err.splitlines()) == 2


def test_the_columns_are_named_that_an_answer_is_due_to(trainer: Trainer, here: Path) -> None:
    churn(here / "size.onnx", "regression")
    put(here / "c.csv", "id,age,plan\n1,70,plus\n2,,basic\n3,30,plus\n")
    done = trainer("predict", "size.onnx", "c.csv", "--keep", "id", "--explain")
    assert (done.code, done.err) == (0, "")
    assert [line.split(maxsplit=3) for line in done.out.splitlines()] == [
        ["ROW", "id", "left", "BECAUSE OF"],
        ["1", "1", "4", "age +3, plan +1"],
        ["2", "2", "0", "plan +0"],
        ["3", "3", "0", "age -1, plan +1"],
    ]
    [first, *_] = json.loads(
        trainer("predict", "size.onnx", "c.csv", "--keep", "id", "--explain", "--json").out
    )["predictions"]
    assert first["because"] == {"age": 3, "plan": 1}
    churn(here / "churn.onnx")
    put(here / "one.csv", "age,plan\n40,plus\n")
    assert "plan +38.1%" in trainer("predict", "churn.onnx", "one.csv", "--explain").out


def test_a_column_that_is_too_much_can_be_kept(trainer: Trainer, here: Path) -> None:
    churn(here / "churn.onnx")
    put(here / "c.csv", "age,plan,id,first name\n20,basic,7,Ada\n")
    hint = trainer("predict", "churn.onnx", "c.csv").err.splitlines()[1]
    assert hint == (
        "Hint:  Leave it out, or have it printed beside the answers: --keep id --keep 'first name'"
    )
    done = trainer("predict", "churn.onnx", "c.csv", "--csv", *shlex.split(hint.rpartition("answers: ")[2]))
    assert done.out.splitlines()[1].startswith("c.csv,1,7,Ada,no,")
    done = trainer("predict", "churn.onnx", "c.csv", "--keep", "name")
    assert (done.code, done.err.splitlines()[0]) == (2, "Error: c.csv has no column 'name'.")


def test_an_answer_is_explained_by_a_picture_beside_it(trainer: Trainer, here: Path) -> None:
    for name in ("photos/a.png", "photos/sub/a.png", "a.png"):
        picture(here / name)
    done = trainer("predict", "colours.onnx", "photos", "a.png", "--explain", "-o", "maps")
    assert done.code == 0
    names = ["maps/a.occlusion.png", "maps/sub/a.occlusion.png", "maps/a.2.occlusion.png"]
    assert done.err.splitlines() == [f"Explanation: {name}" for name in names]
    assert sorted(str(path.relative_to(here)) for path in (here / "maps").rglob("*.*")) == sorted(names)
    with Image.open(here / names[0]) as drawn:
        assert drawn.size == (256, 256)


def test_no_file_is_replaced_by_an_explanation(trainer: Trainer, here: Path) -> None:
    picture(here / "a.png")
    picture(here / "b.png")
    put(here / "b.occlusion.png", "mine")
    done = trainer("predict", "colours.onnx", "a.png", "b.png", "--explain")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "Error: b.occlusion.png exists.\nHint:  Move it away, or use another folder: -o DIR\n"
    )
    assert (here / "b.occlusion.png").read_text() == "mine"
    assert not (here / "a.occlusion.png").exists()


def test_ctrl_c_ends_it_and_what_is_drawn_is_whole(
    trainer: Trainer, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png"):
        picture(here / name)
    write_map = maps.write

    def write_one(path: Path, pixels: Pixels, predictor: Predictor) -> None:
        if path.name.startswith("b"):
            os.kill(os.getpid(), signal.SIGINT)
        write_map(path, pixels, predictor)

    monkeypatch.setattr(maps, "write", write_one)
    done = trainer("predict", "colours.onnx", "a.png", "b.png", "--explain", "-o", "maps")
    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines() == [
        "Error: Stopped by SIGINT.",
        "Hint:  1 image explained. To start again: another folder, -o DIR",
    ]
    assert [path.name for path in (here / "maps").iterdir()] == ["a.occlusion.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("colours.onnx", "a.png", "--csv", "--json"), "--csv and --json are given together."),
        (("colours.onnx", "a.png", "-o", "maps"), "-o is for what --explain draws."),
        (("colours.onnx", "a.png", "--keep", "id"), "--keep is for the columns of a CSV."),
        (("churn.onnx", "c.csv", "--explain", "-o", "maps"), "-o is for images."),
        (("churn.onnx", "photos"), "photos is a folder, and the model takes rows of a table."),
        (("colours.onnx", "no.png"), "There is no file no.png."),
        (("colours.onnx", "empty"), "empty has no image."),
        (("colours.onnx", "/dev/null"), "/dev/null is no file."),
        (("no.onnx", "a.png"), "There is no file no.onnx."),
        (("a.png", "a.png"), "a.png is no ONNX file that can be used: Protobuf parsing failed."),
        (("skin@3", "a.png"), "is not in a workspace"),
    ],
)
def test_what_cannot_be_is_said_in_two_lines(
    trainer: Trainer, here: Path, arguments: tuple[str, ...], message: str
) -> None:
    churn(here / "churn.onnx")
    picture(here / "a.png")
    picture(here / "photos/a.png")
    put(here / "c.csv", "age,plan\n1,basic\n")
    (here / "empty").mkdir()
    before = sorted(here.rglob("*"))
    done = trainer("predict", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err.splitlines()[0]
    assert len(done.err.splitlines()) == 2
    assert sorted(here.rglob("*")) == before
