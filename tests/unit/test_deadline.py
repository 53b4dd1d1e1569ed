import threading

import pytest
from trainer import deadline


def test_a_result_and_a_failure_are_handed_on() -> None:
    assert deadline.within(5, lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        deadline.within(5, lambda: 1 // 0)


@pytest.mark.timeout(10)
def test_what_hangs_is_left_to_itself() -> None:
    for_ever = threading.Event()
    with pytest.raises(TimeoutError):
        deadline.within(0.05, for_ever.wait)
    for_ever.set()
