"""Whether an ONNX graph takes and gives what its description says, found out when it is opened."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from trainkit.errors import InputError
from trainkit.inference.description import Description, Images, Table

_HINT = "Export the model again: its description is not of this graph."
_TYPES: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(string)": np.object_,
}


class _Value(Protocol):
    name: str
    type: str
    shape: Sequence[int | str | None]


class _Graph(Protocol):
    def get_inputs(self) -> Sequence[_Value]: ...

    def get_outputs(self) -> Sequence[_Value]: ...


def checked(session: _Graph, description: Description, file: str) -> dict[str, type[np.generic]]:
    """The graph's inputs by name, and the NumPy type of each.

    Raises `InputError` where they, or its outputs, are not those of the description, or where the number of
    inputs is fixed.
    """
    outputs = {value.name: value for value in session.get_outputs()}
    for name in filter(None, (description.output, description.embedding)):
        if name not in outputs:
            raise InputError(f"{file} has no output {name!r}.", _HINT)
    inputs = {value.name: value for value in session.get_inputs()}
    for name, shape in _expected(description.input, list(inputs), file).items():
        value = inputs[name]
        if value.type not in _TYPES:
            raise InputError(f"{file}: the input {name!r} takes {value.type}.", _HINT)
        if isinstance(value.shape[0] if value.shape else 0, int):
            raise InputError(
                f"{file}: the input {name!r} takes {list(value.shape)}, a fixed number of samples.",
                "Export the model with a first dimension that is free.",
            )
        if not _fits(value.shape, shape):
            raise InputError(
                f"{file}: the input {name!r} takes {list(value.shape)}, not {['n', *shape[1:]]}.", _HINT
            )
    return {name: _TYPES[value.type] for name, value in inputs.items()}


def _expected(taken: Images | Table, names: Sequence[str], file: str) -> dict[str, tuple[int | None, ...]]:
    if isinstance(taken, Table) and taken.encoding is None:
        columns = {column.name for column in taken.columns}
        if different := sorted(columns.symmetric_difference(names)):
            raise InputError(f"{file}: the column {different[0]!r} is no input, or no column is.", _HINT)
        return dict.fromkeys(names, (None, 1))
    if len(names) != 1:
        raise InputError(f"{file} has {len(names)} inputs, not one.", _HINT)
    if isinstance(taken, Table):
        return {names[0]: (None, taken.width)}
    size = taken.size
    shape = (None, size, size, 3) if taken.layout == "NHWC" else (None, 3, size, size)
    return {names[0]: shape}


def _fits(shape: Sequence[int | str | None], expected: Sequence[int | None]) -> bool:
    return len(shape) == len(expected) and all(
        number == wanted
        for number, wanted in zip(shape[1:], expected[1:], strict=True)
        if isinstance(number, int)
    )
