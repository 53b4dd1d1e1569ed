"""The models of `serve.py`: a forest, by scikit-learn and as an ONNX file, and a network of images."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import mlflow
import numpy as np
import onnx
from bench import naive
from bench.ratios import process
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from trainkit.inference.description import KEY, Description, Images

SIDE, COLUMNS, CLASSES = 224, 12, 5
ROW = {f"x{number}": number / 10 for number in range(COLUMNS)}
# In the sklearn image, which has what makes ONNX of it. `mlflow models serve` loads the forest as it is.
_FOREST = f"""
import mlflow.sklearn, onnx, pandas
from onnx import helper
from skl2onnx import to_onnx
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from trainkit.inference.description import KEY, Description, Number, Scaled, Table
rows, answers = make_classification(2000, {COLUMNS}, n_informative=8, n_classes=3, random_state=0)
frame = pandas.DataFrame(rows, columns=[f"x{{number}}" for number in range({COLUMNS})])
forest = RandomForestClassifier(100, random_state=0, n_jobs=1).fit(frame, answers)
mlflow.sklearn.save_model(forest, "/out/forest", input_example=frame[:2], serialization_format="cloudpickle")
graph = to_onnx(forest, rows[:1], options={{"zipmap": False}}, target_opset=18)
columns = tuple(Number(name=name) for name in frame)
encoding = tuple(Scaled(column=name, mean=0, deviation=1) for name in frame)
said = Description(task="classification", classes=("0", "1", "2"), framework="scikit-learn",
                   input=Table(columns=columns, encoding=encoding), output="probabilities")
helper.set_model_props(graph, {{KEY: said.text()}})
onnx.save(graph, "/out/forest.onnx")
"""


def forest(folder: Path) -> tuple[Path, Path]:
    """The folder of MLflow's model, and the ONNX file."""
    naive.build_image("sklearn")
    process([
        "docker", "run", "--rm", "--network=none", f"--user={os.getuid()}:{os.getgid()}", "--env=HOME=/tmp",
        f"--volume={folder}:/out", naive.plan_of("sklearn").tag, "python", "-c", _FOREST,
    ])  # fmt: skip
    return folder / "forest", folder / "forest.onnx"


def network(folder: Path) -> tuple[Path, Path]:
    """The same of a small convolutional network: MLflow serves the very ONNX file, with ONNX Runtime too."""
    random = np.random.default_rng(0)
    shapes = {"k1": (16, 3, 3, 3), "k2": (32, 16, 3, 3), "k3": (64, 32, 3, 3), "dense": (64, CLASSES)}
    weights = [
        numpy_helper.from_array((random.standard_normal(shape) * 0.1).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Div", ["image", "most"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["r0"], perm=[0, 3, 1, 2]),
    ]
    for layer in (1, 2, 3):
        pads = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
        nodes.append(helper.make_node("Conv", [f"r{layer - 1}", f"k{layer}"], [f"c{layer}"], **pads))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
    nodes += [
        helper.make_node("GlobalAveragePool", ["r3"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "dense"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    said = Description(
        task="classification", classes=tuple("abcde"), framework="keras", output="probabilities",
        input=Images(size=SIDE, layout="NHWC"),
    )  # fmt: skip
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", CLASSES])],
        [*weights, helper.make_tensor("most", TensorProto.FLOAT, [1], [255.0])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {KEY: said.text()})
    onnx.save(model, folder / "network.onnx")
    signature = ModelSignature(Schema([TensorSpec(np.dtype(np.float32), (-1, SIDE, SIDE, 3), "image")]))
    mlflow.onnx.save_model(model, folder / "network", signature=signature)
    return folder / "network", folder / "network.onnx"


def photo() -> bytes:
    """A JPEG of some 30 KB, as a browser would send it."""
    random = np.random.default_rng(1)
    coarse = Image.fromarray(random.integers(0, 255, (40, 30, 3), dtype=np.uint8))
    file = io.BytesIO()
    coarse.resize((600, 450), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    return file.getvalue()


def photo_as_json(content: bytes) -> bytes:
    """The same for MLflow: its pixels, as small as the model takes them."""
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    return json.dumps({"inputs": {"image": [pixels.tolist()]}}).encode()


def row_as_json() -> bytes:
    """For both."""
    return json.dumps({"dataframe_records": [ROW]}).encode()
