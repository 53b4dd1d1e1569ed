from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from model_server.batching import Batcher
from model_server.refusals import Refused
from trainkit.errors import InputError
from trainkit.inference.cells import Row
from trainkit.inference.predictor import Answers, Predictor

from unit.model_server.served import NO, YES, Slow, churn


@contextlib.asynccontextmanager
async def working(model: Slow, *, largest: int = 4, waiting: int = 10) -> AsyncIterator[Batcher]:
    batcher = Batcher(model.answers, largest=largest, waiting=waiting)
    try:
        yield batcher
    finally:
        model.may_answer.set()


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    return Slow(Predictor.open(churn(tmp_path / "churn.onnx"), threads=1))


async def asked(batcher: Batcher, *requests: list[Row]) -> list[asyncio.Task[Answers]]:
    """The first is at work, the others wait."""
    tasks = []
    for request in requests:
        tasks.append(asyncio.create_task(batcher.answers(request)))
        await asyncio.sleep(0.05)
    return tasks


def test_what_came_while_the_model_was_at_work_is_answered_together(slow: Slow) -> None:
    async def run() -> list[Answers]:
        async with working(slow) as batcher:
            tasks = await asked(batcher, [YES], [NO], [YES, NO], [NO])
            slow.may_answer.set()
            return await asyncio.gather(*tasks)

    answers = asyncio.run(run())
    assert slow.sizes == [1, 4]
    tops = [answer.values.argmax(axis=1).tolist() for answer in answers]
    assert tops == [[0], [1], [0, 1], [1]]


def test_a_batch_has_no_more_than_the_largest_unless_one_request_has(slow: Slow) -> None:
    async def run() -> None:
        async with working(slow, largest=3) as batcher:
            tasks = await asked(batcher, [YES], [YES, NO], [YES, NO], [YES] * 5, [NO])
            slow.may_answer.set()
            await asyncio.gather(*tasks)

    asyncio.run(run())
    assert slow.sizes == [1, 2, 2, 5, 1]


def test_a_wrong_request_is_not_the_failure_of_those_beside_it(slow: Slow) -> None:
    async def run() -> list[Answers | BaseException]:
        async with working(slow) as batcher:
            tasks = await asked(batcher, [YES], [NO], [YES, {"age": "old", "plan": "a"}], [NO])
            slow.may_answer.set()
            return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, wrong, last = asyncio.run(run())
    assert all(isinstance(answer, Answers) for answer in (first, second, last))
    assert isinstance(wrong, InputError)
    assert wrong.message.startswith("Row 2: column 'age' has 'old'")


def test_who_has_gone_is_left_out(slow: Slow) -> None:
    async def run() -> None:
        async with working(slow) as batcher:
            first, gone, last = await asked(batcher, [YES], [NO], [YES])
            gone.cancel()
            slow.may_answer.set()
            await asyncio.gather(first, last)

    asyncio.run(run())
    assert slow.sizes == [1, 1]


def test_more_than_may_wait_are_refused(slow: Slow) -> None:
    async def run() -> None:
        async with working(slow, waiting=2) as batcher:
            await asked(batcher, [YES], [YES], [YES])
            with pytest.raises(Refused, match="2 requests wait for the model"):
                await batcher.answers([YES])

    asyncio.run(run())
