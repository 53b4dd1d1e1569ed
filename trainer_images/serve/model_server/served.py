"""The model that is served: asked for images or rows, within the limits."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TypeVar

import numpy as np
import orjson
from trainkit.errors import InputError
from trainkit.inference import images
from trainkit.inference.description import Images, Number, Table
from trainkit.inference.predictor import Answers, Model, Pixels
from trainkit.inference.serving_file import Entry

from model_server.batching import Batcher, Inputs
from model_server.limits import Limits
from model_server.refusals import Refused, busy, invalid

_Result = TypeVar("_Result")
# Reading a file of its own thread pays from here on.
_SMALL = 32 * 1024


@dataclass(frozen=True)
class Served:
    """A model by its name, and the threads that work for it.

    Who has begun to ask it ends with it: another one that takes its place changes nothing of this one.
    """

    name: str
    predictor: Model
    entry: Entry
    limits: Limits
    batcher: Batcher
    decoders: Executor
    reader: Executor

    @classmethod
    def of(
        cls,
        name: str,
        predictor: Model,
        entry: Entry,
        limits: Limits,
        observe: Callable[[int], object] = lambda _: None,
    ) -> Served:
        """Ready to be asked."""
        batcher = Batcher(_asked(predictor), largest=limits.batch, waiting=limits.waiting, observe=observe)
        # Each may hold an image of the size of `limits.pixels`, the reader all that is made of a JSON.
        cores = min(4, len(os.sched_getaffinity(0)))
        decoders, reader = ThreadPoolExecutor(cores, "decode"), ThreadPoolExecutor(1, "json")
        return cls(name, predictor, entry, limits, batcher, decoders, reader)

    def succeeded_by(self, predictor: Model, entry: Entry) -> Served:
        """The model that takes its place, with the same limits, and the same threads for all but answers."""
        return replace(self, predictor=predictor, entry=entry, batcher=self.batcher.of(_asked(predictor)))

    def named(self, entry: Entry) -> Served:
        """The same model, which is called something else."""
        return replace(self, entry=entry)

    def warm_up(self) -> None:
        """Answer something: the first answer takes longer than others."""
        taken = self.predictor.description.input
        if isinstance(taken, Images):
            self.predictor.answers([np.zeros((taken.size, taken.size, 3), np.uint8)])
            return
        row = {column.name: 0.0 if isinstance(column, Number) else None for column in taken.columns}
        try:
            self.predictor.answers([row])
        except InputError:  # it need not take missing cells
            return

    @property
    def images(self) -> Images:
        """What it takes; raises `Refused` where it takes rows."""
        taken = self.predictor.description.input
        if isinstance(taken, Table):
            raise invalid(
                f"The model {self.name} takes rows, not images.", 'Send {"rows": [{COLUMN: CELL}]}.'
            )
        return taken

    @property
    def table(self) -> Table:
        """What it takes; raises `Refused` where it takes images."""
        taken = self.predictor.description.input
        if isinstance(taken, Images):
            raise invalid(f"The model {self.name} takes images, not rows.", "Send an image file.")
        return taken

    async def parsed(self, body: bytes) -> object:
        """The JSON. Raises `Refused` where it is none, or too large."""
        if len(body) > self.limits.json:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The JSON is larger than {self.limits.json // 1024**2} MB.",
                "Send fewer rows in one request, and images as files.",
            )
        try:
            return orjson.loads(body) if len(body) < _SMALL else await self.read(lambda: orjson.loads(body))
        except orjson.JSONDecodeError as error:
            raise invalid(f"The body is no JSON: {error}", "Send JSON, or an image as image/jpeg.") from None

    async def read(self, call: Callable[[], _Result]) -> _Result:
        """What the call makes of much JSON: one request after the other, while others are answered."""
        return await _in(self.reader, call)

    async def decoded(self, content: bytes, name: str) -> Pixels:
        """The image in a file. Raises `InputError`, with its name."""
        taken, limits = self.images, images.Limits(self.limits.body, self.limits.pixels)
        return await _in(self.decoders, lambda: images.from_bytes(content, taken, name=name, limits=limits))

    async def drawn(self, call: Callable[[], bytes]) -> bytes:
        """The picture that the call draws, while others are answered."""
        return await _in(self.decoders, call)

    async def answers(self, inputs: Inputs) -> Answers:
        """The model's answers. Raises `InputError` for wrong inputs, `Refused` where it takes too long."""
        what, most = (
            ("images", self.limits.images)
            if isinstance(self.predictor.description.input, Images)
            else ("rows", self.limits.rows)
        )
        if not inputs:
            raise invalid(f"There are no {what} in the request.", "Send at least one.")
        if len(inputs) > most:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The request has {len(inputs)} {what}, more than {most}.",
                "Send them in several requests.",
            )
        try:
            async with asyncio.timeout(self.limits.answer_s):
                return await self.batcher.answers(inputs)
        except TimeoutError:
            raise busy(f"The model did not answer within {self.limits.answer_s:g} s.") from None


def _asked(predictor: Model) -> Callable[[Inputs], Answers]:
    target = predictor.description.target
    # A row may have the column that is predicted, as in `trainer predict`.
    return functools.partial(predictor.answers, ignored=(target,) if target else ())


async def _in(executor: Executor, call: Callable[[], _Result]) -> _Result:
    return await asyncio.get_running_loop().run_in_executor(executor, call)
