"""Trees of histograms as ONNX nodes with doubles: skl2onnx 1.20 rounds their thresholds to floats.

The thresholds are values of the training rows, so that a rounding sends those rows the other way.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from trainkit.errors import InputError

ESTIMATORS = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
_ROUNDING = 1e-6


def with_doubles(
    graph: onnx.ModelProto, model: HistGradientBoostingClassifier | HistGradientBoostingRegressor
) -> None:
    """Give the node of the trees the thresholds and values of the model itself, all digits of them.

    What the graph takes are doubles; what the node answers are floats, of which doubles are made after it.
    """
    trees = [predictor.nodes for iteration in model._predictors for predictor in iteration]
    nodes: list[onnx.NodeProto] = []
    for node in graph.graph.node:
        nodes.append(node)
        if not node.op_type.startswith("TreeEnsemble"):
            continue
        attributes = {attribute.name: attribute for attribute in node.attribute}
        kind = "class" if node.op_type.endswith("Classifier") else "target"
        _replace(node, attributes, "nodes_values", "nodes", trees, "num_threshold")
        _replace(node, attributes, f"{kind}_weights", kind, trees, "value")
        base = np.array(attributes["base_values"].floats)
        exact = np.asarray(model._baseline_prediction, dtype=np.float64).ravel()
        _set(node, attributes, "base_values", exact if exact.shape == base.shape else base)
        made, floats = node.output[-1], f"{node.output[-1]}/floats"
        node.output[-1] = floats
        nodes.append(helper.make_node("Cast", [floats], [made], to=TensorProto.DOUBLE))
    graph.graph.ClearField("node")
    graph.graph.node.extend(nodes)
    for opset in graph.opset_import:
        if opset.domain == "ai.onnx.ml":
            opset.version = 3


def _replace(
    node: onnx.NodeProto,
    attributes: dict[str, onnx.AttributeProto],
    name: str,
    place: str,
    trees: list[NDArray[np.void]],
    field: str,
) -> None:
    rounded = np.array(attributes[name].floats)
    places = zip(attributes[f"{place}_treeids"].ints, attributes[f"{place}_nodeids"].ints, strict=True)
    exact = np.array([float(trees[tree][number][field]) for tree, number in places])
    if place == "nodes":  # a leaf has none
        exact = np.where(np.array(attributes["nodes_modes"].strings) == b"LEAF", 0.0, exact)
    if not np.allclose(rounded, exact, rtol=_ROUNDING, atol=_ROUNDING):
        raise InputError(
            "The trees that skl2onnx has made are not those of the model.",
            "Use another estimator, or serve the model with scikit-learn.",
        )
    _set(node, attributes, name, exact)


def _set(
    node: onnx.NodeProto,
    attributes: dict[str, onnx.AttributeProto],
    name: str,
    values: NDArray[np.float64],
) -> None:
    node.attribute.remove(attributes[name])
    tensor = numpy_helper.from_array(values.astype(np.float64), name)
    node.attribute.append(helper.make_attribute(f"{name}_as_tensor", tensor))
