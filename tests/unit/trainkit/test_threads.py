import os

import pytest
from trainkit import threads


@pytest.mark.parametrize(("said", "count"), [("3", 3), ("0", None), ("", None), ("x", None), (None, None)])
def test_threads_are_what_is_said_else_one_a_core(
    monkeypatch: pytest.MonkeyPatch, said: str | None, count: int | None
) -> None:
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", said)
    assert threads.of_tensorflow() == (count or len(os.sched_getaffinity(0)))
