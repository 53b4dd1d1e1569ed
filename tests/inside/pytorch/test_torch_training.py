"""Losses, answers, epochs and checkpoints. Run in the pytorch image."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from trainkit.errors import InputError
from trainkit.models import warm_start
from trainkit.torch import layers as torch_layers
from trainkit.torch import network as torch_network
from trainkit.torch import training
from trainkit.torch.model import Model, Scale, outputs_needed, pixel_scale, standard_scale
from trainkit.torch.training import Epoch, Progress, Settings

SETTINGS = Settings("Adam", 0.01, 0.9, batch_size=8, epochs=3, patience=0, seed=0)
HIDDEN = "- Linear: 16\n- Tanh\n- Dropout: 0.2\n"


class Rows:
    """Two columns; the first one decides."""

    def __init__(self, number: int, classes: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.features = torch.randn(number, 2, generator=generator, dtype=torch.float64)
        quantity = 500 + 100 * self.features[:, 0]
        ranks = self.features[:, 0].argsort().argsort()
        self.target = ranks * classes // number if classes else quantity

    def __len__(self) -> int:
        return len(self.features)

    def inputs(self, positions: NDArray[np.int64]) -> Tensor:
        return self.features[torch.from_numpy(positions)]


def model(loss: str, classes: int, last: str = "- Linear: classes", seed: int = 0) -> Model:
    torch.manual_seed(seed)
    outputs = outputs_needed(loss, classes)
    network = torch_network.build(torch_layers.parse(HIDDEN + last, outputs), (2,), outputs, 8)
    rows = Rows(40, classes)
    target = None if classes else standard_scale(rows.target[:, None])
    return Model(network, loss, standard_scale(rows.features), target)


def fit(
    made: Model, folder: Path, settings: Settings = SETTINGS, classes: int = 3
) -> tuple[Progress, list[Epoch]]:
    reported: list[Epoch] = []
    progress = training.fit(
        made,
        Rows(41, classes),
        Rows(20, classes, seed=1),
        settings,
        lambda epoch, values, kept_ms: reported.append({"epoch": epoch, "kept_ms": kept_ms, **values}),
        folder,
    )
    return progress, reported


def timeless(history: list[Epoch]) -> list[Epoch]:
    return [{name: value for name, value in epoch.items() if name != "seconds_epoch"} for epoch in history]


@pytest.mark.parametrize(
    ("loss", "classes", "last"),
    [
        ("CrossEntropyLoss", 3, "- Linear: classes"),
        ("CrossEntropyLoss", 3, "- Linear: classes\n- Softmax"),
        ("NLLLoss", 3, "- Linear: classes\n- LogSoftmax"),
        ("BCEWithLogitsLoss", 2, "- Linear: classes"),
        ("MSELoss", 0, "- Linear: classes"),
        ("L1Loss", 0, "- Linear: 1"),
        ("HuberLoss", 0, "- Linear: 1"),
    ],
)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_training_lowers_every_loss_with_every_optimizer(
    tmp_path: Path, loss: str, classes: int, last: str, optimizer: str
) -> None:
    settings = replace(SETTINGS, optimizer=optimizer, epochs=4)
    progress, _ = fit(model(loss, classes, last), tmp_path, settings, classes)
    assert progress.history[-1]["loss"] < progress.history[0]["loss"]
    assert progress.history[-1]["val_loss"] < progress.history[0]["val_loss"]


def test_one_step_of_gradient_descent_lowers_the_loss() -> None:
    made, rows = model("CrossEntropyLoss", 3).eval(), Rows(40, 3)
    before = made.loss(made.scores(rows.features), rows.target)
    before.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())
    with torch.no_grad():
        for parameter in made.parameters():
            parameter -= 0.1 * parameter.grad
    assert made.loss(made.scores(rows.features), rows.target) < before


def test_a_softmax_at_the_end_is_not_taken_twice(tmp_path: Path) -> None:
    plain, with_softmax = (
        model("CrossEntropyLoss", 3),
        model("CrossEntropyLoss", 3, "- Linear: classes\n- Softmax"),
    )
    assert plain.remark is None
    assert with_softmax.remark
    assert "taken before the last layer, Softmax" in with_softmax.remark
    histories = [
        fit(made, tmp_path / str(number))[0].history for number, made in enumerate((plain, with_softmax))
    ]
    assert timeless(histories[0]) == timeless(histories[1])


def test_nllloss_of_logarithms_is_crossentropyloss_of_logits() -> None:
    rows = Rows(40, 3)
    logits = model("CrossEntropyLoss", 3).eval()
    logarithms = model("NLLLoss", 3, "- Linear: classes\n- LogSoftmax").eval()
    expected = torch.nn.NLLLoss()(torch.log_softmax(logits.scores(rows.features), 1), rows.target)
    assert torch.allclose(logarithms.loss(logarithms.scores(rows.features), rows.target), expected)


def test_nllloss_without_logarithms_names_the_layer() -> None:
    with pytest.raises(InputError, match="Layer 4, Linear, is the last, but NLLLoss") as caught:
        model("NLLLoss", 3)
    assert "LogSoftmax" in caught.value.hint


def test_an_activation_at_the_end_is_a_warning() -> None:
    remark = model("CrossEntropyLoss", 3, "- Linear: classes\n- ReLU").remark
    assert remark
    assert remark.startswith("Warning: the last layer is ReLU")


@pytest.mark.parametrize(
    ("loss", "classes", "last"),
    [
        ("CrossEntropyLoss", 3, "- Linear: classes"),
        ("CrossEntropyLoss", 3, "- Linear: classes\n- Softmax"),
        ("NLLLoss", 3, "- Linear: classes\n- LogSoftmax"),
        ("BCEWithLogitsLoss", 2, "- Linear: 1"),
        ("BCEWithLogitsLoss", 2, "- Linear: 1\n- Sigmoid"),
    ],
)
def test_answers_of_a_classifier_are_probabilities_that_follow_the_scores(
    loss: str, classes: int, last: str
) -> None:
    made, rows = model(loss, classes, last).eval(), Rows(40, classes)
    answers = made(rows.features)
    assert answers.shape == (40, classes)
    assert torch.allclose(answers.sum(dim=1), torch.ones(40))
    assert answers.min() >= 0
    # The loss is the mean of the negative logarithms of the true classes' probabilities.
    truth = answers[torch.arange(40), rows.target]
    assert torch.allclose(made.loss(made.scores(rows.features), rows.target), -truth.log().mean(), atol=1e-6)


def test_answers_of_a_regression_are_in_the_units_of_the_target(tmp_path: Path) -> None:
    made = model("MSELoss", 0)
    settings = replace(SETTINGS, epochs=60, learning_rate=0.02)
    progress, _ = fit(made, tmp_path, settings, classes=0)
    rows = Rows(20, 0, seed=1)
    error = (made(rows.features)[:, 0] - rows.target).abs().mean().item()
    assert error < 30, "the quantity is 500 with a deviation of 100"
    assert error == pytest.approx(progress.best_epoch["val_mae"], rel=1e-4)


@pytest.mark.parametrize(
    ("loss", "classes", "said"),
    [
        ("MSELoss", 3, "MSELoss cannot learn the data: 3 classes."),
        ("CrossEntropyLoss", 0, "CrossEntropyLoss cannot learn the data: a quantity."),
        ("BCEWithLogitsLoss", 3, "BCEWithLogitsLoss cannot learn the data: 3 classes."),
    ],
)
def test_a_loss_that_does_not_fit_the_data_is_refused(loss: str, classes: int, said: str) -> None:
    with pytest.raises(InputError) as caught:
        outputs_needed(loss, classes)
    assert caught.value.message == said


def test_columns_get_mean_zero_and_deviation_one_and_constant_ones_zero() -> None:
    values = torch.tensor(
        [[1.6e9, 0.1, 5.0], [1.6e9 + 1, 0.1, 7.0], [1.6e9 + 2, 0.1, 9.0]], dtype=torch.float64
    )
    scale = standard_scale(values)
    scaled = (values - scale.shift) * scale.factor
    assert torch.allclose(scaled.mean(dim=0), torch.zeros(3, dtype=torch.float64))
    assert torch.allclose(scaled.std(dim=0, correction=0), torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64))


def test_pixels_are_scaled_from_0_to_1() -> None:
    layers = torch_layers.parse("- Identity\n- Flatten\n- Linear: 1", 1)
    network = torch_network.build(layers, (3, 1, 1), 1, 2)
    made = Model(network, "MSELoss", pixel_scale(), Scale(torch.zeros(1), torch.ones(1)))
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)
    assert torch.allclose(made.scores(pixels), network.module(pixels / 255.0))


def test_the_same_seed_gives_the_same_metrics_to_the_last_bit(tmp_path: Path) -> None:
    def history(seed: int, place: str) -> list[Epoch]:
        training.prepare(seed)
        made = model("CrossEntropyLoss", 3, seed=seed)
        return timeless(fit(made, tmp_path / place, replace(SETTINGS, seed=seed))[0].history)

    assert history(0, "a") == history(0, "b")
    assert history(0, "c") != history(1, "d")


def test_a_run_that_was_killed_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, _ = fit(model("CrossEntropyLoss", 3), tmp_path / "whole", replace(SETTINGS, epochs=5))
    _, before = fit(model("CrossEntropyLoss", 3), tmp_path / "cut", replace(SETTINGS, epochs=2))
    # What a kill in the middle of a write leaves behind.
    (tmp_path / "cut" / "state.pt.tmp").write_bytes(b"half a file")
    other = model("CrossEntropyLoss", 3, seed=9)
    resumed, reported = fit(other, tmp_path / "cut", replace(SETTINGS, epochs=5))
    # The last epoch again, as the same points: it may not have been reported.
    assert reported[0] == before[-1]
    assert [values["epoch"] for values in reported] == [2, 3, 4, 5]
    assert timeless(resumed.history) == timeless(whole.history)
    assert "Goes on after epoch 2" in capsys.readouterr().out


def test_the_best_epoch_is_kept_and_training_stops_when_it_gets_no_better(tmp_path: Path) -> None:
    made = model("CrossEntropyLoss", 3)
    settings = replace(SETTINGS, optimizer="SGD", learning_rate=15.0, epochs=50, patience=3)
    progress, reported = fit(made, tmp_path, settings)
    losses = [values["val_loss"] for values in reported]
    assert len(losses) == progress.best + 3 < 50
    assert losses[progress.best - 1] == min(losses) < losses[-1]
    rows = Rows(20, 3, seed=1)
    result = made.loss(training.predict(made, rows, 8), rows.target)
    assert result.item() == pytest.approx(min(losses), rel=1e-6)


def test_without_patience_every_epoch_is_trained(tmp_path: Path) -> None:
    settings = replace(SETTINGS, optimizer="SGD", learning_rate=15.0, epochs=12)
    assert len(fit(model("CrossEntropyLoss", 3), tmp_path, settings)[0].history) == 12


def test_a_loss_that_is_no_number_ends_the_training_with_a_hint(tmp_path: Path) -> None:
    settings = replace(SETTINGS, optimizer="SGD", learning_rate=1e30)
    with pytest.raises(InputError, match="the training has diverged") as caught:
        fit(model("MSELoss", 0), tmp_path, settings, classes=0)
    assert "--learning-rate" in caught.value.hint


@pytest.mark.parametrize(
    ("number", "size", "expected"),
    [(10, 4, [4, 4, 2]), (9, 4, [4, 5]), (8, 4, [4, 4]), (1, 4, [1]), (3, 1, [1, 1, 1])],
)
def test_no_batch_has_one_sample_that_could_have_more(number: int, size: int, expected: list[int]) -> None:
    result = list(training.batches(np.arange(number), size))
    assert [len(batch) for batch in result] == expected
    assert np.concatenate(result).tolist() == list(range(number))


def test_a_gpu_that_was_asked_for_and_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_GPUS", "all")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="PyTorch sees no GPU, but the run was started with --gpus all"):
        training.prepare(0)
    monkeypatch.setenv("TRAINER_GPUS", "none")
    assert training.prepare(0) == torch.device("cpu")


NOT_REPEATABLE = """
import torch
from trainkit.errors import show_input_errors
from trainkit.torch.training import prepare

show_input_errors()
prepare(0)
torch.zeros(4).put_(torch.tensor([1, 2]), torch.ones(2))
print("done")
"""


def test_an_operation_that_is_not_repeatable_ends_a_deterministic_run_and_no_other() -> None:
    def run(said: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "ignore", "-c", NOT_REPEATABLE]
        environment = {**os.environ, "TRAINER_DETERMINISTIC": said}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    ended = run("1")
    error, hint = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert error.startswith("Error: put_ does not have a deterministic implementation")
    assert hint.endswith("or run it with --no-deterministic.")
    assert run("").stdout == "done\n"


@pytest.mark.parametrize("backend", ["", "torch"])
def test_a_keras_project_in_an_image_without_keras_is_refused(backend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from trainkit import keras_models"],
        capture_output=True, text=True, check=False, env={**os.environ, "KERAS_BACKEND": backend},
    )  # fmt: skip
    assert (done.returncode, done.stderr.splitlines()) == (1, [
        "Error: Keras is not installed here.",
        "Hint:  Use an image that has it, or add keras to the image's requirements.",
    ])  # fmt: skip


def test_a_model_begins_with_the_weights_and_scales_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier, file = model("CrossEntropyLoss", 3, seed=1), tmp_path / "model.pt"
    earlier.input_shift += 1  # of other data
    saved = {"state_dict": earlier.state_dict(), "class_names": ["a", "b", "c"], "columns": ["age", "plan_x"]}
    torch.save(saved, file)
    monkeypatch.setenv("TRAINER_WARM_START", str(file))
    monkeypatch.setenv("TRAINER_WARM_START_RUN", "ab" * 16)
    made = model("CrossEntropyLoss", 3)
    warm_start.load(made, ("a", "b", "c"), ("age", "plan_x"))
    assert capsys.readouterr().out == "warm start: the weights of the run abababab\n"
    inputs = torch.randn(4, 2, dtype=torch.float64)
    assert torch.equal(made.eval()(inputs), earlier.eval()(inputs))
    with pytest.raises(InputError, match=r"other columns or categories .*: plan_y, and it had plan_x"):
        warm_start.load(made, ("a", "b", "c"), ("age", "plan_y"))
    made_of_two = model("BCEWithLogitsLoss", 2, "- Linear: 2\n- Linear: classes")
    with pytest.raises(InputError, match="is 2 x 16, and was 3 x 16"):
        warm_start.load(made_of_two, columns=("age", "plan_x"))
    with pytest.raises(InputError, match="trained on the classes a, b, c; those of the data are c, b, a"):
        warm_start.load(model("CrossEntropyLoss", 3), ("c", "b", "a"), ("age", "plan_x"))
    monkeypatch.setenv("TRAINER_WARM_START", str(tmp_path))
    with pytest.raises(InputError, match="is not of PyTorch"):
        warm_start.load(made)
