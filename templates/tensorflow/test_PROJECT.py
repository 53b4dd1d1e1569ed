"""The project trains to its end. `pytest` needs the environment that trainer is installed in."""

from pathlib import Path

from trainer import testing


def test_one_epoch_gives_a_model_with_a_score() -> None:
    run = testing.run(Path(__file__).parent, epochs=1, image_size=32)
    assert 0 <= run.metrics["validation_accuracy"] <= 1
