import random

import numpy as np
import pytest
from trainkit.seeding import given_seed, is_deterministic, seed_everything


def draw(seed: int) -> tuple[float, ...]:
    seed_everything(seed)
    return random.random(), *np.random.rand(3)


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others() -> None:
    assert draw(1) == draw(1)
    assert not set(draw(1)) & set(draw(2))


def test_what_the_command_line_said_is_known_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINER_SEED", raising=False)
    monkeypatch.delenv("TRAINER_DETERMINISTIC", raising=False)
    assert (given_seed(), is_deterministic()) == (None, False)
    monkeypatch.setenv("TRAINER_SEED", "5")
    monkeypatch.setenv("TRAINER_DETERMINISTIC", "1")
    assert (given_seed(), is_deterministic()) == (5, True)
