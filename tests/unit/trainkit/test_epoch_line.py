"""The line of an epoch: what it has, and that it fits a terminal."""

import pytest
from trainkit.epoch_line import epoch_line


def test_each_metric_stands_beside_that_of_the_validation() -> None:
    metrics = {"loss": 2.0061, "accuracy": 0.281, "val_loss": 1.4712, "val_accuracy": 0.4}
    line = "epoch  3/20  loss 2.0061 (val 1.4712)  accuracy 0.2810 (val 0.4000)  16.4 s"
    assert epoch_line(3, 20, metrics, 16.42) == line


def test_a_metric_of_the_validation_alone_has_its_name() -> None:
    assert (
        epoch_line(1, 3, {"loss": 0.5, "val_f1": 0.25}, 0.04)
        == "epoch 1/3  loss 0.5000  val_f1 0.2500  0.04 s"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.0000"), (-0.5, "-0.5000"), (9.99996, "10.0000"), (12.0061, "12.006"), (12345.6, "12346"),
     (123456.7, "123457"), (1234567.0, "1.2e+06"), (float("nan"), "nan"), (float("inf"), "inf")],
)  # fmt: skip
def test_numbers_are_short(value: float, shown: str) -> None:
    assert epoch_line(1, 1, {"mae": value}, 1) == f"epoch 1/1  mae {shown}  1.00 s"


@pytest.mark.parametrize("last", [1, 10, 100])
@pytest.mark.parametrize(("name", "value"), [("accuracy", 1.0), ("mae", 123456.7)])
def test_it_fits_into_eighty_columns(last: int, name: str, value: float) -> None:
    metrics = {"loss": 123456.7, name: value, "val_loss": 1.23e9, f"val_{name}": value}
    assert len(epoch_line(last, last, metrics, 999.94)) < 80
