"""Answers as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import orjson
from starlette.responses import Response
from trainkit.inference.description import Description
from trainkit.inference.predictor import Answers

Prediction: TypeAlias = dict[str, object]


class Json(Response):
    """What orjson writes; NumPy's numbers too."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """The body."""
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def refusal(
    status: int,
    message: str,
    hint: str,
    headers: Mapping[str, str] | None = None,
    where: Mapping[str, object] = MappingProxyType({}),
) -> Response:
    """What is wrong with a request, what to do about it, and where: in which row and column."""
    return Json({"error": message, "hint": hint, **where}, status, headers)


def predictions(description: Description, answers: Answers) -> list[Prediction]:
    """For each input the class with its confidence and all probabilities, or the value."""
    if not description.classes:
        return [{"value": value} for value in answers.values[:, 0].tolist()]
    return [
        {
            "class": description.classes[top],
            "confidence": probabilities[top],
            "probabilities": dict(zip(description.classes, probabilities, strict=True)),
        }
        for top, probabilities in zip(answers.values.argmax(axis=1), answers.values.tolist(), strict=True)
    ]


def labels(description: Description, answers: Answers) -> list[str]:
    """The class of each input; of a regression, nothing."""
    if not description.classes:
        return [""] * len(answers.values)
    return [description.classes[top] for top in answers.values.argmax(axis=1)]
