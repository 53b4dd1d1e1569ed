"""The layers of a backbone as a report and a drawing: `python -m trainkit.keras.layer_report REQUEST`.

REQUEST is a `Request` as JSON; a `Report` is printed as JSON. Reading either needs no framework.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from trainkit.errors import InputError
from trainkit.keras.architectures import BACKBONES, backbone, check, first_trained

if TYPE_CHECKING:
    import keras

REFUSED = 2
"""The exit code for a request that cannot be; what is printed then is a `Refusal`."""

State = Literal["trains", "partly", "frozen", "no weights"]


class Request(TypedDict):
    """What to report on. `drawing` is a file to write, .svg or .png; `full`: each layer instead of blocks."""

    backbone: str
    image_size: int | None
    unfreeze_from: str | None
    full: bool
    drawing: str | None


class BlockRow(TypedDict):
    """A block: layers `first` to `last`, both included. Its shape is of one image, after its last layer.

    `trains_from_here` counts the weights that train when it and all after it are unfrozen; `state` is None
    where nothing was said of unfreezing.
    """

    name: str
    first: int
    last: int
    layers: int
    output_shape: list[int]
    parameters: int
    trains_from_here: int
    state: State | None


class LayerRow(TypedDict):
    """A layer; `inputs` are the indices of the layers that it takes its input from."""

    index: int
    name: str
    type: str
    block: str
    output_shape: list[int]
    parameters: int
    inputs: list[int]
    state: State | None


class Report(TypedDict):
    """A backbone. `first_trained` and `trains` (weights) are None where nothing was said of unfreezing."""

    backbone: str
    title: str
    image_size: int
    features: int
    layers: int
    parameters: int
    unfreeze_from: str | None
    first_trained: int | None
    trains: int | None
    blocks: list[BlockRow]
    all_layers: list[LayerRow]


class Refusal(TypedDict):
    """An `InputError` on its way out of the container."""

    message: str
    hint: str


def report(model: keras.Model, image_size: int, unfreeze_from: str | None) -> Report:
    """All there is to know of a model as `backbones.build` makes it. Its layers stay as they are."""
    architecture = BACKBONES[model.name]
    first = first_trained(architecture, unfreeze_from) if unfreeze_from else None
    trainable = [_trainable(layer) for layer in model.layers]
    blocks = _blocks(model, trainable, first)
    return Report(
        backbone=architecture.name,
        title=architecture.title,
        image_size=image_size,
        features=model.output_shape[-1],
        layers=len(model.layers),
        parameters=model.count_params(),
        unfreeze_from=unfreeze_from,
        first_trained=first,
        trains=None if first is None else sum(trainable[first:]),
        blocks=blocks,
        all_layers=[row for block in blocks for row in _layers(model, block, trainable, first)],
    )


def _blocks(model: keras.Model, trainable: Sequence[int], first: int | None) -> list[BlockRow]:
    from trainkit.keras import backbones

    return [
        BlockRow(
            name=block.name,
            first=block.first,
            last=block.last,
            layers=block.layers,
            output_shape=_shape(model.layers[block.last]),
            parameters=block.parameters,
            trains_from_here=sum(trainable[block.first :]),
            state=_state(range(block.first, block.last + 1), block.parameters, trainable, first),
        )
        for block in backbones.blocks(model)
    ]


def _layers(
    model: keras.Model, block: BlockRow, trainable: Sequence[int], first: int | None
) -> Iterator[LayerRow]:
    made_by = {id(layer.output): index for index, layer in enumerate(model.layers)}
    for index in range(block["first"], block["last"] + 1):
        layer = model.layers[index]
        tensors = layer.input if isinstance(layer.input, list) else [layer.input]
        yield LayerRow(
            index=index,
            name=layer.name,
            type=type(layer).__name__,
            block=block["name"],
            output_shape=_shape(layer),
            parameters=layer.count_params(),
            inputs=[made_by[id(tensor)] for tensor in tensors if tensor is not layer.output],
            state=_state([index], layer.count_params(), trainable, first),
        )


def _shape(layer: keras.layers.Layer) -> list[int]:
    return list(layer.output.shape[1:])


def _trainable(layer: keras.layers.Layer) -> int:
    """How many weights train when the layer is unfrozen; batch normalisations never are."""
    from keras.layers import BatchNormalization

    if isinstance(layer, BatchNormalization):
        return 0
    return sum(math.prod(weight.shape) for weight in layer.weights if weight.trainable)


def _state(
    layers: Sequence[int], parameters: int, trainable: Sequence[int], first: int | None
) -> State | None:
    """Of layers given by their indices, which have so many parameters in all."""
    if first is None:
        return None
    if not parameters:
        return "no weights"
    trains = [index >= first for index in layers if trainable[index]]
    if not any(trains):
        return "frozen"
    return "trains" if all(trains) else "partly"


def answer(request: Request) -> Report:
    """The report, and the drawing if one was asked for. Raises `InputError` before anything is built."""
    architecture = backbone(request["backbone"])
    size = request["image_size"] or architecture.image_size
    check(architecture.name, size, request["unfreeze_from"] or "none")
    from trainkit.keras import backbones

    result = report(backbones.build(architecture.name, size, "none"), size, request["unfreeze_from"])
    if request["drawing"]:
        from trainkit.keras import layer_drawing

        layer_drawing.draw(result, Path(request["drawing"]), full=request["full"])
    return result


def main() -> None:
    """Answer the request on the command line."""
    try:
        print(json.dumps(answer(json.loads(sys.argv[1]))))
    except InputError as error:
        print(json.dumps(Refusal(message=error.message, hint=error.hint)))
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
