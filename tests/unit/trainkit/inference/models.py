"""Small ONNX files, whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper
from trainkit.inference.description import KEY, Description, Images

COLOURS = ("blue", "green", "red")


def image_description(**changed: object) -> Description:
    """Of `write_colours`."""
    values: dict[str, object] = {
        "task": "classification",
        "classes": COLOURS,
        "input": Images(size=8, layout="NHWC"),
        "output": "probabilities",
        "framework": "keras 3.15.1",
    }
    return Description.model_validate(values | changed)


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    description: Description | str | None,
    initializers: Sequence[TensorProto] = (),
) -> Path:
    """A file of this graph, with the description (or another text) in its metadata, or without one."""
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    if description is not None:
        text = description if isinstance(description, str) else description.text()
        helper.set_model_props(model, {KEY: text})
    path.write_bytes(model.SerializeToString())
    return path


def write_colours(
    path: Path,
    description: Description | str | None = None,
    *,
    element: int = TensorProto.FLOAT,
    order: Sequence[int] = (0, 1, 2),
) -> Path:
    """A model of pictures: the more of its mean colour is blue, green or red, the more probable is that.

    With another `order` of the three, it takes one colour for another.

    Its second output, `mean`, is (n, 3): red, green, blue, between 0 and 1.
    """
    described = image_description(embedding="mean") if description is None else description
    layout = described.input if isinstance(described, Description) else None
    size = layout.size if isinstance(layout, Images) else 8
    first = isinstance(layout, Images) and layout.layout == "NCHW"
    shape, over = (("n", 3, size, size), [2, 3]) if first else (("n", size, size, 3), [1, 2])
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "over"], ["levels"], keepdims=0),
        helper.make_node("Div", ["levels", "most"], ["mean"]),
        helper.make_node("Gather", ["mean", "order"], ["sorted"], axis=1),
        helper.make_node("Mul", ["sorted", "sharp"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    initializers = [
        helper.make_tensor("over", TensorProto.INT64, [2], over),
        helper.make_tensor("most", TensorProto.FLOAT, [1], [255.0]),
        helper.make_tensor("order", TensorProto.INT64, [3], [2 - place for place in order]),
        helper.make_tensor("sharp", TensorProto.FLOAT, [1], [4.0]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("probabilities", "mean")
    ]
    pixels = helper.make_tensor_value_info("pixels", element, shape)
    return write(path, nodes, [pixels], outputs, described, initializers)
