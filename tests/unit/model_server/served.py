"""Models that are served in the tests, and the server in this process."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import uvicorn
from model_server import app
from model_server.batching import Inputs
from model_server.connections import ImpatientProtocol
from model_server.limits import Limits
from model_server.prediction_log.log import PredictionLog
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from starlette.testclient import TestClient
from starlette.types import ASGIApp
from trainkit.inference.description import Category, Description, Number, OneHot, Scaled, Table
from trainkit.inference.predictor import Answers, Predictor

from unit.trainkit.inference.models import image_description, write, write_colours

COLUMNS = (Number(name="age"), Category(name="plan", values=("a", "b")))
ENCODING = (
    Scaled(column="age", missing=0, mean=0, deviation=1),
    OneHot(column="plan", categories=("a", "b")),
)
TABLE = Table(columns=COLUMNS, encoding=ENCODING)
# The older, the likelier yes; plan b takes ten years off.
YES = {"age": 5, "plan": "a"}
NO = {"age": "5", "plan": "b"}


def churn(path: Path) -> Path:
    """A classification of rows: exactly yes or no."""
    weights = np.array([[1, -1], [0, 0], [-10, 10]], np.float32)
    nodes = [
        helper.make_node("MatMul", ["numbers", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    description = Description(
        task="classification", classes=("yes", "no"), target="churn", input=TABLE, output="probabilities",
        framework="sklearn 1.9", run_id="0123abcd",
    )  # fmt: skip
    return write(
        path,
        nodes,
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        description,
        [numpy_helper.from_array(weights, "weights")],
    )


def price(path: Path) -> Path:
    """A regression of rows: the sum of what they are encoded to."""
    description = Description(
        task="regression", target="price", input=TABLE, output="price", framework="sklearn 1.9"
    )
    return write(
        path,
        [helper.make_node("ReduceSum", ["numbers", "axis"], ["price"], keepdims=0)],
        [helper.make_tensor_value_info("numbers", TensorProto.DOUBLE, ["n", 3])],
        [helper.make_tensor_value_info("price", TensorProto.DOUBLE, ["n"])],
        description,
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )


def colours(path: Path) -> Path:
    """A classification of images of 8 x 8: blue, green, red."""
    return write_colours(path, image_description(embedding="mean"))


def application(
    path: Path, *, limits: Limits | None = None, token: str | None = None, log: PredictionLog | None = None
) -> ASGIApp:
    return app.make(path.stem, Predictor.open(path, threads=1), limits=limits, token=token, log=log)


@contextlib.contextmanager
def client(
    path: Path, *, limits: Limits | None = None, token: str | None = None, log: PredictionLog | None = None
) -> Iterator[TestClient]:
    """Within: the model is served; what fails in the server is an answer, as for any client."""
    served = application(path, limits=limits, token=token, log=log)
    with TestClient(served, raise_server_exceptions=False) as opened:
        yield opened


@contextlib.contextmanager
def listening(served: ASGIApp, limits: Limits) -> Iterator[int]:
    """Within: uvicorn, as `python -m model_server` has it, in a thread; its port."""
    kind = type("Protocol", (ImpatientProtocol,), {"headers_s": limits.headers_s})
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        config = uvicorn.Config(served, http=kind, ws="none", lifespan="on", log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)


def image(
    colour: tuple[int, ...] = (255, 0, 0), *, kind: str = "PNG", mode: str = "RGB", side: int = 32
) -> bytes:
    """The file of an image of one colour."""
    file = io.BytesIO()
    Image.new(mode, (side, side), colour).save(file, kind)
    return file.getvalue()


class Slow:
    """A model that answers when it is told to, and keeps the sizes of what it was asked."""

    def __init__(self, model: Predictor) -> None:
        self.model = model
        self.sizes: list[int] = []
        self.may_answer = threading.Event()

    def answers(self, inputs: Inputs) -> Answers:
        self.sizes.append(len(inputs))
        self.may_answer.wait(30)
        return self.model.answers(inputs)
