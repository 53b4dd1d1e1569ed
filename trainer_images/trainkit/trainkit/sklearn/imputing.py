"""SimpleImputer of numbers as nodes of ONNX that keep doubles: those of skl2onnx 1.20 take floats alone.

A forest compares what is scaled to all digits, so that a rounding before it gives other answers.
"""

from typing import Protocol

import numpy as np
from onnx import TensorProto
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.impute import SimpleImputer

from trainkit.errors import InputError


class _Variable(Protocol):
    full_name: str
    type: object


class Operator(Protocol):
    """A step that skl2onnx converts."""

    raw_operator: SimpleImputer
    inputs: list[_Variable]
    outputs: list[_Variable]


class Scope(Protocol):
    """Names of a graph."""

    def get_unique_variable_name(self, seed: str) -> str: ...  # noqa: D102

    def get_unique_operator_name(self, seed: str) -> str: ...  # noqa: D102


class Container(Protocol):
    """What becomes a graph."""

    def add_initializer(self, name: str, kind: int, shape: list[int], content: object) -> None: ...  # noqa: D102

    def add_node(  # noqa: D102
        self, op_type: str, inputs: list[str], outputs: str, op_version: int, **attributes: object
    ) -> None: ...


def shape(operator: Operator) -> None:
    """Say what comes out. Raises `InputError` for an imputer of words, or one that drops or adds columns."""
    imputer = operator.raw_operator
    numbers = all(isinstance(value.type, DoubleTensorType) for value in operator.inputs)
    if not numbers or imputer.add_indicator or np.isnan(imputer.statistics_).any():
        raise InputError(
            "A SimpleImputer of words, or with an indicator, cannot be exported.",
            "Impute numbers alone, by their median, mean or most frequent value.",
        )
    operator.outputs[0].type = DoubleTensorType([None, len(imputer.statistics_)])


def convert(scope: Scope, operator: Operator, container: Container) -> None:
    """Add the nodes."""

    def add(kind: str, inputs: list[str], output: str, op_version: int, **attributes: object) -> str:
        name = scope.get_unique_operator_name(kind)
        container.add_node(kind, inputs, output, op_version=op_version, name=name, **attributes)
        return output

    statistics = operator.raw_operator.statistics_.astype(np.float64)
    values = scope.get_unique_variable_name("imputed_values")
    container.add_initializer(values, TensorProto.DOUBLE, [1, len(statistics)], statistics.tolist())
    given = [variable.full_name for variable in operator.inputs]
    if len(given) > 1:
        given = [add("Concat", given, scope.get_unique_variable_name("columns"), 13, axis=1)]
    missing = add("IsNaN", given, scope.get_unique_variable_name("missing"), 13)
    add("Where", [missing, values, *given], operator.outputs[0].full_name, 16)
