"""A network written as a list of PyTorch's layers in YAML.

    - Conv2d: [16, 3]
    - ReLU
    - MaxPool2d: 2
    - Flatten
    - Linear: {out_features: classes}

Names and arguments are those of `torch.nn`. What the shape of the input decides (`in_features`,
`in_channels`, `num_features`, …) is left out; positional arguments are the others, in torch's order.
"""

import difflib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from torch import nn

from trainkit.errors import InputError, did_you_mean

Value = bool | int | float | str | None | tuple["Value", ...]

# The word that stands for the width that the last layer needs.
OUTPUTS = "classes"


@dataclass(frozen=True)
class Kind:
    """What may stand in a list of layers. `inferred` is the argument that the input's shape decides."""

    module: type[nn.Module]
    inferred: str | None = None
    dimensions: int | None = None
    """Of one sample: 1 for features, 3 for (channels, height, width), None for any."""


KINDS: Mapping[str, Kind] = {
    kind.module.__name__: kind
    for kind in (
        Kind(nn.Linear, "in_features", 1),
        Kind(nn.Conv2d, "in_channels", 3),
        Kind(nn.MaxPool2d, dimensions=3),
        Kind(nn.AvgPool2d, dimensions=3),
        Kind(nn.AdaptiveAvgPool2d, dimensions=3),
        Kind(nn.AdaptiveMaxPool2d, dimensions=3),
        Kind(nn.BatchNorm1d, "num_features", 1),
        Kind(nn.BatchNorm2d, "num_features", 3),
        Kind(nn.GroupNorm, "num_channels"),
        Kind(nn.LayerNorm, "normalized_shape"),
        Kind(nn.Dropout),
        Kind(nn.Dropout2d, dimensions=3),
        *map(Kind, (nn.Flatten, nn.Identity)),
        *map(Kind, (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid)),
        *map(Kind, (nn.Softmax, nn.LogSoftmax)),
    )
}
# `inplace` can break the gradient of the layer before; the others change what comes out.
_WITHHELD = {"device", "dtype", "inplace", "return_indices"}
_SIZES = {
    "out_features",
    "out_channels",
    "kernel_size",
    "stride",
    "dilation",
    "groups",
    "num_groups",
    "output_size",
}
DIMENSIONS = {"dim", "start_dim", "end_dim"}


@dataclass(frozen=True)
class Layer:
    """One entry of the list, counted from 1. `arguments` are by name, as given."""

    number: int
    name: str
    arguments: Mapping[str, Value]

    def __str__(self) -> str:
        """`Conv2d(out_channels=16, kernel_size=3)`."""
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in self.arguments.items())})"

    def wrong(self, what: str, hint: str) -> InputError:
        """The error about this layer."""
        return InputError(f"Layer {self.number}, {self.name}, {what}", hint)


def read(path: Path) -> str:
    """The text of a file of layers. Raises `InputError` where it cannot be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {error}.", "Specify a YAML file with a list of layers."
        ) from None


def parse(text: str, outputs: int) -> tuple[Layer, ...]:
    """The layers of a YAML text, `classes` replaced by `outputs`. Raises `InputError` naming the layer."""
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise InputError(
            f"The layers are not valid YAML{where}.", "Each line is `- Name: arguments`."
        ) from None
    if not isinstance(entries, list) or not entries:
        raise InputError("The layers are no list.", "Begin each layer with `- `, such as `- ReLU`.")
    return tuple(_layer(number, entry, outputs) for number, entry in enumerate(entries, 1))


def _layer(number: int, entry: object, outputs: int) -> Layer:
    if isinstance(entry, dict) and len(entry) != 1:
        names = ", ".join(map(str, entry))
        raise InputError(f"Layer {number} has {len(entry)} names: {names}.", "Begin each layer with `- `.")
    name, given = next(iter(entry.items())) if isinstance(entry, dict) else (entry, None)
    if not isinstance(name, str) or name not in KINDS:
        near = difflib.get_close_matches(str(name).lower(), map(str.lower, KINDS), n=1)
        meant = next((did_you_mean(kind) for kind in KINDS if [kind.lower()] == near), None)
        raise InputError(
            f"Layer {number} is {name!r}, which is no layer.", meant or f"There are {', '.join(KINDS)}."
        )
    layer = Layer(number, name, {})
    defaults = _defaults(name)
    arguments = {
        key: _checked(layer, key, _value(layer, value, outputs), defaults[key])
        for key, value in _named(layer, given, list(defaults))
    }
    needed = [key for key, default in defaults.items() if default is inspect.Parameter.empty]
    for key in needed:
        if key not in arguments and key != KINDS[name].inferred:
            raise layer.wrong(f"lacks {key}.", f"Write `- {name}: {{{key}: …}}`.")
    return Layer(number, name, arguments)


def _defaults(name: str) -> dict[str, object]:
    """The arguments that may be given to a layer, in torch's order, with their defaults."""
    return {
        parameter.name: parameter.default
        for parameter in inspect.signature(KINDS[name].module).parameters.values()
        if parameter.name not in _WITHHELD
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    }


def _named(layer: Layer, given: object, names: Sequence[str]) -> Iterator[tuple[str, object]]:
    """The arguments with their names."""
    inferred = KINDS[layer.name].inferred
    if isinstance(given, dict):
        for name in given:
            if name not in names:
                near = difflib.get_close_matches(str(name), names, n=1)
                others = f"It has {', '.join(names)}." if names else "It has none."
                raise layer.wrong(f"has no argument {name!r}.", did_you_mean(near[0]) if near else others)
        yield from given.items()
        return
    order = [name for name in names if name != inferred]
    values = [] if given is None else given if isinstance(given, list) else [given]
    if len(values) > len(order):
        takes = ", ".join(order) or "none"
        raise layer.wrong(
            f"has {len(values)} arguments; without names it takes {takes}.", _left_out(inferred)
        )
    yield from zip(order, values, strict=False)


def _left_out(inferred: str | None) -> str:
    return f"Leave out {inferred}: it is worked out." if inferred else "Leave out the others."


def _value(layer: Layer, value: object, outputs: int) -> Value:
    if value == OUTPUTS:
        return outputs
    if isinstance(value, list):
        return tuple(_value(layer, item, outputs) for item in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise layer.wrong(f"has the argument {value!r}, which is no number, word or list.", "Fix it.")


def _checked(layer: Layer, name: str, value: Value, default: object) -> Value:
    """The value, if it is of the kind that its name says; torch takes some others without a word."""
    wrong = f"has {name}={value}, which is no "
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise layer.wrong(wrong + "true or false.", _left_out(KINDS[layer.name].inferred))
    elif isinstance(default, float):
        try:
            return float(value)  # type: ignore[arg-type]  # YAML takes 1e-3 for a word
        except (TypeError, ValueError):
            raise layer.wrong(wrong + "number.", f"torch's default is {default}.") from None
    elif name in _SIZES:
        for size in value if isinstance(value, tuple) else (value,):
            if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
                raise layer.wrong(wrong + "whole number above 0.", "Fix it.")
    elif name in DIMENSIONS and (isinstance(value, bool) or not isinstance(value, int) or value == 0):
        raise layer.wrong(
            f"has {name}={value}; dimension 0 is that of the samples.", "Count from 1, or -1 for the last."
        )
    return value
