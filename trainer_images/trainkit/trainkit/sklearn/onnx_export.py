"""A fitted scikit-learn model as an ONNX graph, by skl2onnx.

What trainkit's own preprocessing makes of the columns is data beside the graph, which then has the estimator
alone: skl2onnx knows no dates, no missing words, and no rare categories. Any other pipeline is converted as a
whole, with an input for each column.
"""

from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import mlflow
import onnx
import onnxruntime
import sklearn
from onnx import TensorProto, compose, helper
from skl2onnx import convert_sklearn
from skl2onnx.common import _container
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from trainkit.data.table import encoding
from trainkit.errors import InputError
from trainkit.inference import cells, onnx_file
from trainkit.inference.description import Category, Column, Description, Table
from trainkit.models.exported import Exported
from trainkit.models.samples import PROBABILITIES, QUANTITY, Samples
from trainkit.sklearn import example, histogram_trees, imputing

NUMBERS = "numbers"
"""The one input of a graph that has no columns."""
_CAST, _BEFORE, _AFTER = "before/cast", "before/", "after/"
_OPSETS = {"": 18, "ai.onnx.ml": 3}
_IR_VERSION = 8


def of_model(folder: Path, samples: Samples | None) -> Exported:
    """As `trainkit.models.export.Exporter` says. Without samples, MLflow's input example is compared."""
    model = mlflow.sklearn.load_model(str(folder))
    expected = samples or example.samples(model, folder)
    graph, described = export(model, expected.description)
    framework = {"framework": f"scikit-learn {sklearn.__version__}"}
    return Exported(graph, described.model_copy(update=framework), expected)


def export(model: BaseEstimator, described: Description) -> tuple[onnx.ModelProto, Description]:
    """The graph, and its description: `described` with the encoding of columns that is not in the graph.

    Raises `InputError` for an estimator or a step that has no way to ONNX.
    """
    table = described.input
    if not isinstance(table, Table):
        raise InputError("A model of scikit-learn takes a table.", "Log the samples with samples.log_rows.")
    classifies = is_classifier(model)
    if classifies and tuple(map(str, model.classes_)) != described.classes:
        raise InputError(
            "The classes of the model are not those of the data.", "Log the samples with the data's classes."
        )
    output = PROBABILITIES if classifies else QUANTITY
    encoded, rest = _begins_with_encoding(model)
    if encoded is None:
        graph = _whole(model, table.columns)
    else:
        table = encoded
        graph = _on_numbers(rest, encoded.width)
    _keep_output(graph, 1 if classifies else 0, output)
    return graph, described.model_copy(update={"input": table, "output": output})


def _begins_with_encoding(model: BaseEstimator) -> tuple[Table | None, BaseEstimator]:
    """What stands before the estimator, and it; None and the model where that is not trainkit's."""
    if isinstance(model, Pipeline) and len(model.steps) > 1 and isinstance(model[0], ColumnTransformer):
        try:
            table = encoding.read_off(model[0])
        except InputError:
            return None, model
        return table, model[-1] if len(model.steps) == 2 else model[1:]
    return None, model


def _on_numbers(model: BaseEstimator, width: int) -> onnx.ModelProto:
    """From `NUMBERS`, which are floats to trees of forests and doubles to those of histograms."""
    if not isinstance(model, histogram_trees.ESTIMATORS):
        return _converted(model, [(NUMBERS, FloatTensorType([None, width]))])
    graph = _converted(model, [(NUMBERS, DoubleTensorType([None, width]))])
    histogram_trees.with_doubles(graph, model)
    return graph


def _whole(model: BaseEstimator, columns: Sequence[Column]) -> onnx.ModelProto:
    """From the columns by name. What stands before the estimator works with doubles, as scikit-learn does.

    Where ONNX Runtime lacks an operation on doubles, it works with floats.
    """
    if not isinstance(model, Pipeline) or len(model.steps) == 1:
        estimator = model[-1] if isinstance(model, Pipeline) else model
        return _joined(_side_by_side(columns), estimator, columns)

    def with_numbers(kind: type[DoubleTensorType | FloatTensorType]) -> onnx.ModelProto:
        inputs = [(column.name, _type(column, kind)) for column in columns]
        return _joined(_converted(model[:-1], inputs), model[-1], columns)

    doubles = with_numbers(DoubleTensorType)
    try:
        onnxruntime.InferenceSession(doubles.SerializeToString(), providers=["CPUExecutionProvider"])
    except onnx_file.ERRORS:
        return with_numbers(FloatTensorType)
    return doubles


def _joined(before: onnx.ModelProto, estimator: BaseEstimator, columns: Sequence[Column]) -> onnx.ModelProto:
    """One graph after the other, with the columns' own names."""
    before = compose.add_prefix(before, _BEFORE)
    names = {value.name: column.name for value, column in zip(before.graph.input, columns, strict=True)}
    for value in before.graph.input:
        value.name = names[value.name]
    for node in before.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    after = compose.add_prefix(_on_numbers(estimator, int(estimator.n_features_in_)), _AFTER)
    made, taken = before.graph.output[0].name, after.graph.input[0].type.tensor_type.elem_type
    before.graph.node.append(helper.make_node("Cast", [made], [_CAST], to=taken))
    del before.graph.output[:]
    before.graph.output.append(helper.make_tensor_value_info(_CAST, taken, [None, None]))
    for graph in (before, after):  # skl2onnx says the oldest that have all operations, IR versions too
        del graph.opset_import[:]
        graph.opset_import.extend(helper.make_opsetid(*opset) for opset in _OPSETS.items())
        graph.ir_version = _IR_VERSION
    return compose.merge_models(before, after, io_map=[(_CAST, f"{_AFTER}{NUMBERS}")])


def _side_by_side(columns: Sequence[Column]) -> onnx.ModelProto:
    """A graph that makes one matrix of columns of numbers. Raises `InputError` for a column of words."""
    words = [column.name for column in columns if _is_text(column)]
    if words:
        raise InputError(
            f"The model takes words as they are, in the column {words[0]!r}.",
            "Put an encoder before it: sklearn.pipeline.make_pipeline.",
        )
    inputs = [helper.make_tensor_value_info(c.name, TensorProto.DOUBLE, [None, 1]) for c in columns]
    output = helper.make_tensor_value_info(NUMBERS, TensorProto.DOUBLE, [None, len(columns)])
    node = helper.make_node("Concat", [column.name for column in columns], [NUMBERS], axis=1)
    return helper.make_model(helper.make_graph([node], "columns", inputs, [output]))


def _converted(model: BaseEstimator, inputs: Sequence[tuple[str, object]]) -> onnx.ModelProto:
    final = model[-1] if isinstance(model, Pipeline) else model
    options = {id(final): {"zipmap": False}} if is_classifier(model) else None
    try:
        with patch.object(_container, "make_node", _make_node):
            return convert_sklearn(
                model,
                initial_types=list(inputs),
                options=options,
                target_opset=_OPSETS,
                custom_shape_calculators={SimpleImputer: imputing.shape},
                custom_conversion_functions={SimpleImputer: imputing.convert},
            )
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 (each converter has exceptions of its own)
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"skl2onnx cannot convert the {type(final).__name__}: {reason}",
            "Use an estimator that it knows, or serve the model with scikit-learn.",
        ) from None


def _make_node(*args: object, **attributes: object) -> onnx.NodeProto:
    """skl2onnx 1.20 gives whether a missing value goes left as booleans, which protobuf takes no more."""
    tracks = attributes.get("nodes_missing_value_tracks_true")
    if isinstance(tracks, list):
        attributes["nodes_missing_value_tracks_true"] = [int(value) for value in tracks]
    return helper.make_node(*args, **attributes)


def _type(column: Column, number: type[DoubleTensorType | FloatTensorType]) -> object:
    return StringTensorType([None, 1]) if _is_text(column) else number([None, 1])


def _is_text(column: Column) -> bool:
    return isinstance(column, Category) and not cells.is_coded(column)


def _keep_output(graph: onnx.ModelProto, position: int, name: str) -> None:
    """Leave one output, and name it."""
    kept = graph.graph.output[position]
    before = kept.name
    kept.name = name
    del graph.graph.output[:]
    graph.graph.output.append(kept)
    for node in graph.graph.node:
        for names in (node.input, node.output):
            for index, other in enumerate(names):
                if other == before:
                    names[index] = name
