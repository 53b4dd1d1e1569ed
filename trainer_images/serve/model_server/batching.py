"""Requests that wait while the model is at work are answered together: the next batch is all that came.

Nobody waits for others to come. A single client is answered as fast as without batches.
It works while something waits: one that nobody asks any more needs no end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias, cast

from trainkit.inference.cells import Row
from trainkit.inference.predictor import Answers, Pixels

from model_server.refusals import busy

Inputs: TypeAlias = Sequence[Pixels] | Sequence[Row]


class _Request(NamedTuple):
    inputs: Inputs
    answer: asyncio.Future[Answers]


class Batcher:
    """One thread that asks the model, each time for several requests at once."""

    def __init__(
        self,
        ask: Callable[[Inputs], Answers],
        *,
        largest: int,
        waiting: int,
        observe: Callable[[int], object] = lambda _: None,
    ) -> None:
        """`ask` answers in the order of the inputs. `largest` is of a batch, unless one request has more.

        `observe` is told the size of each batch.
        """
        self.ask, self._largest, self._most, self._observe = ask, largest, waiting, observe
        self._waiting = deque[_Request]()
        self._work: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "model")

    def of(self, ask: Callable[[Inputs], Answers]) -> Batcher:
        """Another one for another model, with the same limits."""
        return Batcher(ask, largest=self._largest, waiting=self._most, observe=self._observe)

    @property
    def waiting(self) -> int:
        """How many requests wait for the model."""
        return len(self._waiting)

    async def answers(self, inputs: Inputs) -> Answers:
        """The model's answers. Raises what the model raises for them, and `Refused` where too many wait."""
        if len(self._waiting) >= self._most:
            raise busy(f"{len(self._waiting)} requests wait for the model.")
        request = _Request(inputs, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._work is None:
            self._work = asyncio.create_task(self._all())
        return await request.answer

    async def _all(self) -> None:
        try:
            while batch := self._next():
                await self._answer(batch)
        finally:
            self._work = None

    def _next(self) -> list[_Request]:
        """Without those that nobody waits for any more."""
        batch, size = list[_Request](), 0
        while self._waiting and (not batch or size + len(self._waiting[0].inputs) <= self._largest):
            request = self._waiting.popleft()
            if not request.answer.done():
                batch.append(request)
                size += len(request.inputs)
        return batch

    async def _answer(self, batch: Sequence[_Request]) -> None:
        inputs = cast(Inputs, [each for request in batch for each in request.inputs])
        self._observe(len(inputs))
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._thread, self.ask, inputs)
        except Exception as error:  # noqa: BLE001 (it is the request's answer)
            if len(batch) > 1:  # one that is wrong is not the others' failure
                for request in batch:
                    await self._answer([request])
            else:
                with contextlib.suppress(asyncio.InvalidStateError):
                    batch[0].answer.set_exception(error)
            return
        start = 0
        for request in batch:
            stop = start + len(request.inputs)
            with contextlib.suppress(asyncio.InvalidStateError):  # nobody waits for it any more
                request.answer.set_result(_part(answers, start, stop))
            start = stop


def _part(answers: Answers, start: int, stop: int) -> Answers:
    embedding = answers.embedding
    return Answers(answers.values[start:stop], None if embedding is None else embedding[start:stop])
