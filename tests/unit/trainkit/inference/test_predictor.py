from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from trainkit.errors import InputError
from trainkit.inference.cells import Row
from trainkit.inference.description import Category, Description, Images, Number, OneHot, Scaled, Table
from trainkit.inference.predictor import Predictor

from unit.trainkit.inference.models import image_description, write, write_colours

TABLE = Table(
    columns=(Number(name="age"), Category(name="plan", values=("a", "b"))),
    encoding=(Scaled(column="age", mean=1, deviation=2), OneHot(column="plan", categories=("a", "b"))),
)
ROWS: list[Row] = [{"age": 5, "plan": "a"}, {"age": "1", "plan": "b"}]


def plain(red: int, green: int, blue: int, size: int = 8) -> NDArray[np.uint8]:
    return np.full((size, size, 3), (red, green, blue), np.uint8)


def regression(taken: Table) -> Description:
    return Description(
        task="regression", target="price", input=taken, output="price", framework="sklearn 1.9"
    )


def write_sum(path: Path, description: Description, *, width: int | str = 3) -> Path:
    """A model that adds the numbers of each row."""
    node = helper.make_node("ReduceSum", ["numbers", "axis"], ["price"], keepdims=0)
    return write(
        path,
        [node],
        [helper.make_tensor_value_info("numbers", TensorProto.DOUBLE, ["n", width])],
        [helper.make_tensor_value_info("price", TensorProto.DOUBLE, ["n"])],
        description,
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(
    "element", [TensorProto.FLOAT, TensorProto.UINT8, TensorProto.FLOAT16, TensorProto.DOUBLE]
)
def test_pictures_are_answered_whatever_the_graph_takes(tmp_path: Path, layout: str, element: int) -> None:
    taken = Images.model_validate({"size": 8, "layout": layout})
    description = image_description(input=taken, embedding="mean")
    predictor = Predictor.open(write_colours(tmp_path / "m.onnx", description, element=element))
    answers = predictor.answers([plain(255, 0, 0), plain(0, 51, 255)])
    assert predictor.description == description
    assert answers.values.argmax(axis=1).tolist() == [2, 0]
    logits = np.exp([4, 0, 0])
    assert answers.values[0] == pytest.approx(sorted(logits / logits.sum()), rel=1e-3)
    assert answers.embedding is not None
    assert answers.embedding == pytest.approx(np.array([[1, 0, 0], [0, 0.2, 1]]), rel=1e-3)


def test_the_version_is_the_digest_of_the_file(tmp_path: Path) -> None:
    path = write_colours(tmp_path / "m.onnx")
    assert Predictor.open(path).version == hashlib.sha256(path.read_bytes()).hexdigest()


def test_many_pictures_are_answered_in_their_order(tmp_path: Path) -> None:
    predictor = Predictor.open(write_colours(tmp_path / "m.onnx", image_description()))
    answers = predictor.answers([plain(n % 256, 0, 0) for n in range(300)])
    assert answers.values.shape == (300, 3)
    assert answers.embedding is None
    assert answers.values[255] == pytest.approx(predictor.answers([plain(255, 0, 0)]).values[0], abs=1e-6)
    assert predictor.answers([]).values.shape == (0, 3)


def test_rows_are_encoded_and_answered(tmp_path: Path) -> None:
    predictor = Predictor.open(write_sum(tmp_path / "m.onnx", regression(TABLE)))
    assert predictor.answers(ROWS).values.tolist() == [[3], [1]]
    assert predictor.answers(ROWS * 3000).values.shape == (6000, 1)
    assert predictor.answers([{**ROWS[0], "id": 1}], ignored=["id"]).values.tolist() == [[3]]
    with pytest.raises(InputError, match="Row 2: column 'age' has 'old'"):
        predictor.answers([ROWS[0], {"age": "old", "plan": "a"}])


def test_a_graph_with_an_input_for_each_column_gets_text_and_numbers(tmp_path: Path) -> None:
    table = Table(columns=TABLE.columns)
    nodes = [
        helper.make_node("LabelEncoder", ["plan"], ["number"], domain="ai.onnx.ml",
                         keys_strings=["a", "b"], values_floats=[10.0, 20.0], default_float=-1.0),
        helper.make_node("Add", ["number", "age"], ["price"]),
    ]  # fmt: skip
    inputs = [
        helper.make_tensor_value_info("age", TensorProto.FLOAT, ["n", 1]),
        helper.make_tensor_value_info("plan", TensorProto.STRING, ["n", 1]),
    ]
    outputs = [helper.make_tensor_value_info("price", TensorProto.FLOAT, ["n", 1])]
    path = write(tmp_path / "m.onnx", nodes, inputs, outputs, regression(table))
    predictor = Predictor.open(path)
    assert predictor.answers([*ROWS, {"age": 0, "plan": None}]).values.tolist() == [[15], [21], [-1]]
    other = Table(columns=(Number(name="size"), *TABLE.columns))
    with pytest.raises(InputError, match="'size' is no input"):
        Predictor.open(write(tmp_path / "m.onnx", nodes, inputs, outputs, regression(other)))


def test_an_answer_that_is_no_number_is_refused(tmp_path: Path) -> None:
    predictor = Predictor.open(write_sum(tmp_path / "m.onnx", regression(TABLE)))
    with pytest.raises(InputError, match="answer to input 2 is no number") as refused:
        predictor.answers([ROWS[0], {"age": None, "plan": "a"}])
    assert refused.value.hint == "Fill in what is missing in it."


def test_scores_are_no_probabilities(tmp_path: Path) -> None:
    path = write_colours(tmp_path / "m.onnx", image_description(output="mean"))
    with pytest.raises(InputError, match="The output 'mean' has no probabilities"):
        Predictor.open(path).answers([plain(255, 255, 0)])


def test_another_number_of_answers_than_of_classes_is_refused(tmp_path: Path) -> None:
    path = write_colours(tmp_path / "m.onnx", image_description(classes=("a", "b")))
    with pytest.raises(InputError, match="answers with 3 numbers, not with 2"):
        Predictor.open(path).answers([plain(255, 0, 0)])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"output": "logit"}, "has no output 'logit'"),
        ({"embedding": "features"}, "has no output 'features'"),
        ({"input": Images(size=9, layout="NHWC")}, "takes ['n', 8, 8, 3], not ['n', 9, 9, 3]"),
        ({"input": Images(size=8, layout="NCHW")}, "takes ['n', 8, 8, 3], not ['n', 3, 8, 8]"),
        ({"input": TABLE}, "takes ['n', 8, 8, 3], not ['n', 3]"),
    ],
)
def test_a_description_of_another_graph_is_refused(
    tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    right = write_colours(tmp_path / "right.onnx").read_bytes()
    old, new = image_description(embedding="mean").text(), image_description(**changed).text()
    path = write_renamed(tmp_path / "m.onnx", right, old, new)
    with pytest.raises(InputError, match=re.escape(message)):
        Predictor.open(path)


def write_renamed(path: Path, content: bytes, old: str, new: str) -> Path:
    """The same graph with another description."""
    model = onnx.load_from_string(content)
    assert model.metadata_props[0].value == old
    model.metadata_props[0].value = new
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("shape", "element", "message"),
    [
        ([1, 3], TensorProto.DOUBLE, "a fixed number of samples"),
        (["n", 3], TensorProto.INT64, "takes tensor(int64)"),
        (["n", 4], TensorProto.DOUBLE, "takes ['n', 4], not ['n', 3]"),
        (["n"], TensorProto.DOUBLE, "takes ['n'], not ['n', 3]"),
    ],
)
def test_a_graph_that_cannot_take_the_inputs_is_refused(
    tmp_path: Path, shape: Sequence[int | str], element: int, message: str
) -> None:
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("Identity", ["numbers"], ["price"])],
        [helper.make_tensor_value_info("numbers", element, shape)],
        [helper.make_tensor_value_info("price", element, shape)],
        regression(TABLE),
    )
    with pytest.raises(InputError, match=re.escape(message)):
        Predictor.open(path)


def test_a_graph_that_fails_at_an_input_says_so_without_a_traceback(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("Reshape", ["numbers", "shape"], ["price"])],
        [helper.make_tensor_value_info("numbers", TensorProto.DOUBLE, ["n", 3])],
        [helper.make_tensor_value_info("price", TensorProto.DOUBLE, ["n", 1])],
        regression(TABLE),
        [helper.make_tensor("shape", TensorProto.INT64, [2], [5, 1])],
    )
    with pytest.raises(InputError, match="The model fails at its input"):
        Predictor.open(path).answers(ROWS)
