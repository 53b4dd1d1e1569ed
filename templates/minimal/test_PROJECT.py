"""The project trains to its end. `pytest` needs the environment that trainer is installed in."""

from pathlib import Path

from trainer import testing


def test_a_short_training_finds_the_line() -> None:
    run = testing.run(Path(__file__).parent, steps=50)
    assert abs(run.metrics["slope"] - 2) < 0.5
