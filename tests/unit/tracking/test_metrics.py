"""What the names of metrics say."""

import pytest
from trainer.tracking import metrics


@pytest.mark.parametrize(
    "name", ["seconds_fit", "images_per_second", "train/time", "latency_ms", "input_busy"]
)
def test_times_and_speeds_are_known_by_their_names(name: str) -> None:
    assert metrics.is_time(name)


@pytest.mark.parametrize("name", ["accuracy", "times_seen", "loss_per_class", "second_best"])
def test_other_metrics_are_no_times(name: str) -> None:
    assert not metrics.is_time(name)


def test_metrics_are_in_the_order_in_which_a_run_is_judged() -> None:
    names = ["seconds_fit", "loss", "val_loss", "system/cpu", "test/loss", "n_train", "validation_accuracy",
             "test_accuracy", "accuracy", "val_accuracy", "train_loss", "testing"]  # fmt: skip
    assert metrics.shown(names) == [
        "test/loss", "test_accuracy", "validation_accuracy", "val_accuracy", "val_loss", "accuracy", "loss",
        "train_loss", "n_train", "testing", "seconds_fit"
    ]  # fmt: skip
    assert metrics.shown(names, "n_train")[0] == "n_train"
    assert metrics.shown(names, "not_logged")[0] == "test/loss"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("val_loss", ("loss", "validation")),
        ("validation/top_5", ("top_5", "validation")),
        ("train_loss", ("loss", "training")),
        ("Training-f1", ("f1", "training")),
        ("loss", ("loss", "training")),
        ("value", ("value", "training")),
        ("test_loss", ("test_loss", "training")),
    ],
)
def test_a_name_says_on_what_data_it_was_measured(name: str, said: tuple[str, str]) -> None:
    assert metrics.measured_on(name) == said
