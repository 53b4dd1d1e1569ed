import random

import numpy as np
from trainkit.seeding import seed_everything


def draw(seed: int) -> tuple[float, ...]:
    seed_everything(seed)
    return random.random(), *np.random.rand(3)


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others() -> None:
    assert draw(1) == draw(1)
    assert not set(draw(1)) & set(draw(2))
