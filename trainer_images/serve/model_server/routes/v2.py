"""The Open Inference Protocol, version 2: what KServe, Triton and MLServer clients speak, in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypedDict

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from trainkit.inference.cells import Row
from trainkit.inference.description import Category, Description, Images, Number, Table
from trainkit.inference.predictor import Answers

from model_server import pictures
from model_server.asking import Asking
from model_server.pictures import Pictures
from model_server.refusals import Refused, invalid
from model_server.responses import Json, labels
from model_server.served import Served

_NUMBERS = {
    "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64",
}  # fmt: skip
_TEXT = "BYTES"
_IMAGE = "image"
_DEEPEST = 4
Json_ = Mapping[str, object]


class Tensor(TypedDict):
    """Of the metadata."""

    name: str
    datatype: str
    shape: list[int]


@dataclass(frozen=True)
class Given:
    """A tensor of a request."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[object]


@dataclass(frozen=True)
class V2:
    """The protocol, for the one model that is served."""

    asking: Asking

    def routes(self) -> list[Route]:
        """Where it is."""
        model, version = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
        return [
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            *(Route(path, self.metadata) for path in (model, version)),
            *(Route(f"{path}/ready", self.model_ready) for path in (model, version)),
            *(Route(f"{path}/infer", self.infer, methods=["POST"]) for path in (model, version)),
        ]

    async def server(self, _: Request) -> Response:
        """What this server is."""
        return Json({"name": "trainer", "version": "1", "extensions": []})

    async def live(self, _: Request) -> Response:
        """It answers."""
        return Json({"live": True})

    async def ready(self, _: Request) -> Response:
        """It listens only when the model has answered once."""
        return Json({"ready": True})

    async def model_ready(self, request: Request) -> Response:
        """The same, for the model of that name."""
        served = self._chosen(request)
        return Json({"name": served.name, "ready": True})

    async def metadata(self, request: Request) -> Response:
        """What the model takes and gives."""
        served = self._chosen(request)
        description = served.predictor.description
        taken = description.input
        return Json({
            "name": served.name,
            "versions": [served.predictor.version],
            "platform": "onnx_onnxv1",
            "inputs": [_image(taken)] if isinstance(taken, Images) else list(_columns(taken)),
            "outputs": [
                {"name": name, "datatype": datatype, "shape": [-1, *rest]}
                for name, (datatype, rest, _) in _outputs(description, None).items()
            ],
            "parameters": {"classes": description.classes},
        })  # fmt: skip

    async def infer(self, request: Request) -> Response:
        """The outputs that are asked for, or all."""
        served = self._chosen(request)
        description = served.predictor.description
        if "inference-header-content-length" in request.headers:
            raise invalid("Binary tensors are not taken.", "Send the data in the JSON.")
        async with self.asking.bodies.received(request) as body:
            payload = await served.parsed(body)
            if not isinstance(payload, dict):
                raise invalid("The JSON has no inputs.", 'Send {"inputs": [{"name": …, "datatype": …, …}]}.')
            wanted = _wanted(payload, list(_outputs(description, None)))
            given = _given(payload)
            if isinstance(description.input, Images):
                answers = await self.asking.answers(served, *await _images(served, given))
            else:
                answers = await self.asking.answers(served, _rows(given))
        outputs = _outputs(description, answers)
        count = len(answers.values)
        return Json({
            "model_name": served.name,
            "model_version": served.predictor.version,
            **({"id": payload["id"]} if isinstance(payload.get("id"), str) else {}),
            "outputs": [
                {"name": name, "datatype": datatype, "shape": [count, *rest], "data": data}
                for name, (datatype, rest, data) in outputs.items()
                if name in wanted
            ],
        })  # fmt: skip

    def _chosen(self, request: Request) -> Served:
        served = self.asking.served
        present = served.predictor.version
        name, version = request.path_params["name"], request.path_params.get("version", present)
        if (name, version) != (served.name, present):
            raise Refused(
                HTTPStatus.NOT_FOUND,
                f"There is no model {name} of the version {version}.",
                f"The model is {served.name}, of the version {present}.",
            )
        return served


def _outputs(
    description: Description, answers: Answers | None
) -> dict[str, tuple[str, list[int], list[object]]]:
    """Name → type, shape of each answer, and what is in it."""
    values = answers.values if answers else np.empty((0, max(1, len(description.classes))))
    if not description.classes:
        return {"value": ("FP64", [], values[:, 0].tolist())}
    names: list[object] = [*labels(description, Answers(values))] if answers else []
    return {
        "class": (_TEXT, [], names),
        "confidence": ("FP64", [], values.max(axis=1).tolist()),
        "probabilities": ("FP64", [len(description.classes)], values.ravel().tolist()),
    }


async def _images(served: Served, given: Sequence[Given]) -> Pictures:
    if len(given) != 1 or given[0].name != _IMAGE:
        raise invalid("A request has one input, image.", f"See /v2/models/{served.name}")
    [tensor] = given
    if tensor.datatype == _TEXT:
        return await pictures.read(served, tensor.data)
    size = served.images.size
    kind = np.float32 if tensor.datatype.startswith("FP") else np.int64
    try:
        images = await served.read(lambda: np.asarray(tensor.data, kind).reshape(-1, size, size, 3))
    except (ValueError, TypeError, OverflowError):
        raise invalid(
            f"The data are not numbers of the shape (n, {size}, {size}, 3).", "See the model's inputs."
        ) from None
    return Pictures([pictures.pixels(image, size, number) for number, image in enumerate(images, 1)], [])


def _image(taken: Images) -> Tensor:
    return {"name": _IMAGE, "datatype": "UINT8", "shape": [-1, taken.size, taken.size, 3]}


def _columns(taken: Table) -> Iterator[Tensor]:
    for column in taken.columns:
        coded = isinstance(column, Category) and all(not isinstance(each, str) for each in column.values)
        is_number = isinstance(column, Number) or coded
        yield {"name": column.name, "datatype": "FP64" if is_number else _TEXT, "shape": [-1, 1]}


def _given(payload: Json_) -> list[Given]:
    tensors = payload.get("inputs")
    if not isinstance(tensors, list) or not tensors:
        raise invalid("The JSON has no inputs.", 'Send {"inputs": [{"name": …, "datatype": …, …}]}.')
    given = [_tensor(tensor, number) for number, tensor in enumerate(tensors, 1)]
    if len({tensor.name for tensor in given}) < len(given):
        raise invalid("Two inputs have the same name.", "Give each once.")
    return given


def _tensor(tensor: object, number: int) -> Given:
    if isinstance(tensor, dict):
        name, datatype = tensor.get("name"), tensor.get("datatype")
        shape, data = tensor.get("shape"), tensor.get("data")
        if (
            isinstance(name, str)
            and datatype in (*_NUMBERS, _TEXT)
            and isinstance(shape, list)
            and all(isinstance(length, int) and length >= 0 for length in shape)
            and isinstance(data, list)
        ):
            flat = list(_flat(data))
            if len(flat) != np.prod(shape, dtype=object):
                raise invalid(f"The input {name} has {len(flat)} values, not {shape}.", "Correct its shape.")
            return Given(name, datatype, tuple(shape), flat)
    raise invalid(
        f"Input {number} is to have name, datatype, shape and data.",
        f"The datatypes are {_TEXT} and {', '.join(sorted(_NUMBERS))}.",
    )


def _flat(data: Sequence[object], depth: int = 1) -> Iterator[object]:
    if depth > _DEEPEST:
        raise invalid(f"The data are nested more than {_DEEPEST} deep.", "Send them flat.")
    for value in data:
        if isinstance(value, list):
            yield from _flat(value, depth + 1)
        else:
            yield value


def _rows(given: Sequence[Given]) -> list[Row]:
    columns = {tensor.name: tensor.data for tensor in given}
    for tensor in given:
        if tensor.shape not in {(len(tensor.data),), (len(tensor.data), 1)}:
            raise invalid(f"The input {tensor.name} is not of the shape (n, 1).", "Send an input a column.")
    if len({len(cells) for cells in columns.values()}) > 1:
        raise invalid("The inputs have different numbers of values.", "Send one a row in each.")
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _wanted(payload: Json_, names: Sequence[str]) -> Sequence[str]:
    outputs = payload.get("outputs")
    if not outputs:
        return names
    wanted = (
        [output.get("name") if isinstance(output, dict) else None for output in outputs]
        if isinstance(outputs, list)
        else [None]
    )
    for name in wanted:
        if name not in names:
            raise invalid(f"There is no output {name}.", f"The outputs are {', '.join(names)}.")
    return [name for name in wanted if isinstance(name, str)]
