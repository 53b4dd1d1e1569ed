"""A list of layers as a network, its shapes worked out and checked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import nn

from trainkit.torch import embeddings
from trainkit.torch.embeddings import Embedding, Embeddings
from trainkit.torch.layers import DIMENSIONS, KINDS, OUTPUTS, Layer, Value

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """A layer of a built network: the shape that comes out for one sample, and its trainable parameters."""

    layer: Layer
    shape: Shape
    parameters: int


@dataclass(frozen=True)
class Network:
    """`module` takes (n, *input_shape), float32."""

    module: nn.Sequential
    input_shape: Shape
    rows: tuple[Row, ...]
    embeddings: tuple[Embedding, ...] = ()
    """Of the last numbers of the input, before the first layer."""

    @property
    def parameters(self) -> int:
        """How many there are to train."""
        embedded = sum(embedding.parameters for embedding in self.embeddings)
        return embedded + sum(row.parameters for row in self.rows)

    def table(self) -> str:
        """Number, layer, output shape and parameters, and lines for the input, embeddings and the sum."""
        lines = [("", "layer", "output shape", "parameters"), ("", "input", shape_text(self.input_shape), "")]
        lines += [("", f"{e.column}: {e}", str(e.width), f"{e.parameters:,}") for e in self.embeddings]
        if self.embeddings:
            shape = (width(self.input_shape, self.embeddings),)
            lines.append(("", "numbers and embeddings", shape_text(shape), ""))
        lines += [
            (str(row.layer.number), str(row.layer), shape_text(row.shape), f"{row.parameters:,}")
            for row in self.rows
        ]
        lines.append(("", "all", "", f"{self.parameters:,}"))
        wide = [max(len(line[column]) for line in lines) for column in range(4)]
        return "\n".join(
            f"{number:>{wide[0]}}  {layer:<{wide[1]}}  {shape:<{wide[2]}}  {parameters:>{wide[3]}}".rstrip()
            for number, layer, shape, parameters in lines
        )


def shape_text(shape: Shape) -> str:
    """`16 x 32 x 32`."""
    return " x ".join(map(str, shape))


def width(input_shape: Shape, embeddings: Sequence[Embedding]) -> int:
    """How many numbers the first layer gets of one sample when the last ones of the input are embedded."""
    return input_shape[0] - len(embeddings) + sum(embedding.width for embedding in embeddings)


def build(
    layers: Sequence[Layer],
    input_shape: Shape,
    outputs: int,
    batch: int,
    categories: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Network:
    """The network with fresh weights, drawn from torch's generator.

    `categories` are those of the columns to embed (`embeddings.of`), which the last numbers of a sample are.

    The last layer has to give (outputs,) for a sample. Raises `InputError` naming the first layer that cannot
    work on what it gets, or not in batches of `batch` samples.
    """
    embedded = embeddings.of(categories)
    shape = (width(input_shape, embedded),) if embedded else input_shape
    # On torch's device without memory first: what does not fit together is found before anything is made.
    with torch.device("meta"):
        rows = tuple(_rows(layers, shape, [], batch=min(batch, 2), training=True))
    last = rows[-1]
    if last.shape != (outputs,):
        raise last.layer.wrong(
            f"gives {shape_text(last.shape)}, but the data and the loss need {outputs}.",
            f"End with `- Flatten` and `- Linear: {OUTPUTS}`."
            if len(last.shape) > 1
            else f"End with `- Linear: {OUTPUTS}`.",
        )
    modules: list[nn.Module] = []
    if embedded:
        modules.append(Embeddings(input_shape[0] - len(embedded), embedded))
    list(_rows(layers, shape, modules, batch=2, training=False))
    return Network(nn.Sequential(*modules), input_shape, rows, embedded)


def _rows(
    layers: Sequence[Layer], input_shape: Shape, modules: list[nn.Module], *, batch: int, training: bool
) -> Iterator[Row]:
    """Make the modules, pass a batch through each, and append it to `modules`."""
    samples = torch.zeros(batch, *input_shape)
    for layer in layers:
        shape = tuple(samples.shape[1:])
        arguments = _complete(layer, shape)
        try:
            module = KINDS[layer.name].module(**arguments).train(training)
            with torch.no_grad():
                samples = module(samples)
        except (TypeError, ValueError, RuntimeError, IndexError, ArithmeticError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise layer.wrong(f"cannot work on {shape_text(shape)}: {reason}.", _remedy(reason)) from None
        if len(samples) != batch or 0 in samples.shape:
            raise layer.wrong(
                f"makes {shape_text(tuple(samples.shape[1:]))} of {shape_text(shape)}.", "Fix its arguments."
            )
        modules.append(module)
        parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
        yield Row(layer, tuple(samples.shape[1:]), parameters)


def _remedy(reason: str) -> str:
    if "more than 1 value per channel" in reason:
        return "A batch needs two samples at least for it: raise the batch size."
    if "too small" in reason or "greater than actual input" in reason:
        return "Use fewer or smaller poolings and strides before it, add padding, or use larger pictures."
    return "Fix its arguments, or the layer before it."


def _complete(layer: Layer, shape: Shape) -> dict[str, Value]:
    """The arguments with what the shape of the input decides."""
    kind = KINDS[layer.name]
    if kind.dimensions == 1 and len(shape) != 1:
        raise layer.wrong(f"gets {shape_text(shape)}, but needs a flat input.", "Put `- Flatten` before it.")
    if kind.dimensions == 3 and len(shape) != 3:
        raise layer.wrong(
            f"gets {shape_text(shape)}, but needs channels x height x width.",
            "Put it before Flatten; a table has no pictures, so Linear is the layer for it.",
        )
    arguments = dict(layer.arguments)
    if layer.name in ("Softmax", "LogSoftmax"):
        arguments.setdefault("dim", 1)
    for name in DIMENSIONS & set(arguments):
        dimension = arguments[name]
        if isinstance(dimension, int) and not -len(shape) <= dimension <= len(shape):
            raise layer.wrong(
                f"has {name}={dimension}, but gets {shape_text(shape)}.", "Count from 1, or from -1."
            )
    if kind.inferred is None:
        return arguments
    needed: Value = shape if layer.name == "LayerNorm" else shape[0]
    given = arguments.setdefault(kind.inferred, needed)
    # LayerNorm may go over the last dimensions only, which torch itself checks.
    if layer.name != "LayerNorm" and given != needed:
        raise layer.wrong(
            f"has {kind.inferred}={given}, but gets {shape_text(shape)}: it needs {needed}.",
            f"Leave {kind.inferred} out: it is worked out.",
        )
    return arguments
