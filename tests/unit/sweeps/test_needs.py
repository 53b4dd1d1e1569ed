"""What each trial of a sweep has of the machine: more than it has is refused before a parent run exists."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest
from trainer.errors import InvalidInput
from trainer.slots.need import Capacity
from trainer.sweeps import needs
from trainer.sweeps.search.spec import SweepSpec

MACHINE = Capacity((), (0, 1, 2, 3), 8 << 30)


def plan(memory: str) -> MagicMock:
    """A plan with that limit."""
    found = MagicMock()
    found.resources.gpus, found.resources.cpus, found.resources.memory = "none", None, memory
    return found


@pytest.mark.parametrize(
    ("parallel", "memory", "message", "hint"),
    [
        (1, "800g", "--memory 800g: 1 trial needs 800g; this machine has 8.0 GB.", "Use less, or a machine"),
        (3, "3g", "--memory 3g: 3 trials at once need 9g; this machine has 8.0 GB.", "--parallel 2 at most."),
    ],
)
def test_more_memory_than_there_is_is_refused(parallel: int, memory: str, message: str, hint: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        needs.of(SweepSpec("demo", (), (), parallel=parallel), plan(memory), MACHINE)
    assert refused.value.message == message
    assert refused.value.hint.startswith(hint)


def test_as_much_memory_as_there_is_may_be_asked_for() -> None:
    assert needs.of(SweepSpec("demo", (), (), parallel=2), plan("4g"), MACHINE).memory == "4g"
