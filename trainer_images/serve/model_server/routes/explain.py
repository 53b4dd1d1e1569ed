"""`POST /explain`: what in an image or a row its answer is due to.

The model is asked hundreds of times, a few at once, so that other requests are answered in between. One
explanation is made at a time.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar, cast

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from trainkit.errors import InputError
from trainkit.inference import explanation
from trainkit.inference.cells import Row
from trainkit.inference.description import Images
from trainkit.inference.explanation import Steps
from trainkit.inference.predictor import Numbers, Pixels

from model_server.asking import Asking
from model_server.batching import Inputs
from model_server.refusals import busy, invalid
from model_server.responses import Json, predictions
from model_server.served import Served

_Input = TypeVar("_Input")
_Result = TypeVar("_Result")
_Ask: TypeAlias = Callable[[Sequence[_Input]], Awaitable[Numbers]]


@dataclass(frozen=True)
class Explain:
    """Explanations, one after the other."""

    asking: Asking
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def routes(self) -> list[Route]:
        """Where it is."""
        return [Route("/explain", self.post, methods=["POST"])]

    async def post(self, request: Request) -> Response:
        """The answer to one image or row, and its explanation: a picture, or a number for each column."""
        served = self.asking.served
        given = await self._given(request, served)
        if self.turn.locked():
            raise busy("The server is explaining another answer.")
        async with self.turn:
            try:
                async with asyncio.timeout(served.limits.explain_s):
                    explained = await _explained(served, request, given)
            except TimeoutError:
                raise busy(f"There was no explanation within {served.limits.explain_s:g} s.") from None
        return Json(
            {"model": {"name": served.name, "version": served.predictor.version}, "explanation": explained}
        )

    async def _given(self, request: Request, served: Served) -> Pixels | Row:
        """No form is taken: a page of another site could send one."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_image = isinstance(served.predictor.description.input, Images)
        is_file = kind.startswith("image/") or kind == "application/octet-stream"
        if not (is_file if is_image else kind == "application/json"):
            raise invalid(
                f"The content type {kind} is not taken." if kind else "The body has no content type.",
                f"Send {'an image as image/jpeg' if is_image else 'a row as application/json'}.",
            )
        async with self.asking.bodies.received(request) as body:
            return await served.decoded(body, "The image") if is_image else _row(await served.parsed(body))


def _row(given: object) -> Row:
    if isinstance(given, dict) and given.keys() == {"rows"} and isinstance(given["rows"], list):
        given = given["rows"]
    if isinstance(given, list) and len(given) == 1:
        [given] = given
    if not isinstance(given, dict):
        raise invalid("The JSON is not one row.", "Send {COLUMN: CELL, …}.")
    return given


async def _explained(served: Served, request: Request, given: Pixels | Row) -> dict[str, object]:
    async def ask(inputs: Inputs) -> Numbers:
        if await request.is_disconnected():
            raise invalid("The client is gone.", "Ask again.")
        return (await served.answers(inputs)).values

    answers = await served.answers(cast(Inputs, [given]))
    [answer] = predictions(served.predictor.description, answers)
    if isinstance(given, np.ndarray):
        explained = await _walked(explanation.occlusion_steps(given), ask)
        picture = await served.drawn(lambda: explanation.png(explained))
        return {
            **answer,
            "largest_drop": float(np.abs(explained.drops).max()),
            "picture": f"data:image/png;base64,{base64.b64encode(picture).decode()}",
        }
    row = {column.name: given[column.name] for column in served.table.columns}
    return {**answer, "drops": await _walked(explanation.contribution_steps(row), ask)}


async def _walked(steps: Steps[_Input, _Result], ask: _Ask[_Input]) -> _Result:
    try:
        inputs = next(steps)
        while True:
            try:
                answers = await ask(inputs)
            except InputError as error:
                inputs = steps.throw(error)
            else:
                inputs = steps.send(answers)
    except StopIteration as done:
        result: _Result = done.value
        return result
