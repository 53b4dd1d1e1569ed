"""The project trains to its end. `pytest` needs the environment that trainer is installed in."""

from pathlib import Path

from trainer import testing


def test_a_small_forest_is_better_than_guessing() -> None:
    run = testing.run(Path(__file__).parent, n_estimators=5)
    assert run.metrics["accuracy"] > 0.5
