"""Training of a PyTorch model: batches, epochs, early stopping, checkpoints."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainkit import live, run_environment
from trainkit.accelerator import require_gpus
from trainkit.epoch_line import epoch_line
from trainkit.errors import InputError
from trainkit.seeding import is_deterministic, seed_everything
from trainkit.torch.data import Columns, Data, Samples
from trainkit.torch.model import CLASSIFICATION, Model

Epoch = dict[str, float]
Report = Callable[[int, Epoch, int], None]
"""Takes the number of an epoch, its metrics, and when it was kept, in milliseconds since 1970."""
_STATE = "state.pt"


@dataclass(frozen=True)
class Settings:
    """How to train. `patience` is after how many epochs without a better one to stop, 0 for never."""

    optimizer: str
    learning_rate: float
    momentum: float
    batch_size: int
    epochs: int
    patience: int
    seed: int


@dataclass
class Progress:
    """What happened so far: `history[0]` is epoch 1; `best` is the epoch with the lowest `val_loss`."""

    history: list[Epoch] = field(default_factory=list)
    best: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def best_epoch(self) -> Epoch:
        """The metrics of the best epoch."""
        return self.history[self.best - 1]


def prepare(seed: int) -> torch.device:
    """Seed every generator, ask for repeatable algorithms, and say where to train.

    That is the GPU where the run was given one ($TRAINER_GPUS), else the CPU. Of an operation that has no
    repeatable algorithm PyTorch warns; in a deterministic run it raises. Raises `InputError` where PyTorch
    does not see the GPU that the run was given.
    """
    require_gpus("PyTorch", torch.cuda.device_count())
    on_gpu = os.environ.get(run_environment.GPUS, "none") != "none"
    if on_gpu and torch.cuda.device_count() > 1:
        print(f"Warning: of {torch.cuda.device_count()} GPUs the first is used", flush=True)
    seed_everything(seed)
    torch.manual_seed(seed)
    # What cuBLAS needs to be repeatable; it is read when the first matrix is multiplied.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # The gradient of adaptive pooling has no repeatable form on GPUs, and most runs can do without.
    torch.use_deterministic_algorithms(True, warn_only=not is_deterministic())
    torch.backends.cudnn.benchmark = False
    return torch.device("cuda" if on_gpu else "cpu")


def fit(
    model: Model,
    train: Samples,
    validation: Samples,
    settings: Settings,
    report: Report,
    checkpoints: Path,
) -> Progress:
    """Train the model and leave it with the weights of its best epoch; `report` gets each epoch's metrics.

    After each epoch everything is in `checkpoints`; a run that finds its own goes on from there as if nothing
    had happened. It reports the last epoch there again, with the same time: a tracking server stores points
    that are the same once, and the run may have been killed before it reported it. Raises `InputError` when
    the loss is no number any more.
    """
    device = next(model.parameters()).device
    optimizer = _optimizer(model, settings)
    progress = _resume(checkpoints, model, optimizer)
    if progress.history:
        print(f"Goes on after epoch {len(progress.history)}", flush=True)
        report(len(progress.history), progress.history[-1], _kept_ms(checkpoints))
    epochs = live.Epochs(settings.epochs)
    for epoch in range(len(progress.history) + 1, settings.epochs + 1):
        if settings.patience and epoch - 1 - progress.best >= settings.patience:
            print(f"No better epoch than {progress.best} in {settings.patience}: stopped", flush=True)
            break
        epochs.begin(epoch, -(-len(train) // settings.batch_size))
        start = time.perf_counter()
        # By its number, so that an epoch is the same whether or not the run was interrupted before it.
        torch.manual_seed(settings.seed * 100_003 + epoch)
        values = _train_epoch(model, train, settings, epoch, optimizer, device, epochs)
        epochs.validate()
        scores = predict(model, validation, settings.batch_size)
        values |= {f"val_{k}": v for k, v in _measure(model, scores, validation.target).items()}
        values["seconds_epoch"] = time.perf_counter() - start
        _refuse_divergence(epoch, values)
        progress.history.append(values)
        if not progress.best or values["val_loss"] < progress.best_epoch["val_loss"]:
            progress.best, progress.best_weights = epoch, deepcopy(_on_cpu(model))
        _keep(checkpoints, model, optimizer, progress)
        report(epoch, values, _kept_ms(checkpoints))
    model.load_state_dict(progress.best_weights)
    return progress


def log_epoch(epochs: int) -> Report:
    """A `report` for `fit`: one printed line and the metrics in the active MLflow run."""

    def report(epoch: int, values: Epoch, kept_ms: int) -> None:
        shown = {name: value for name, value in values.items() if name != "seconds_epoch"}
        print(epoch_line(epoch, epochs, shown, values["seconds_epoch"]), flush=True)
        mlflow.log_metrics(values, step=epoch, timestamp=kept_ms)

    return report


def predict(model: Model, samples: Samples, batch_size: int) -> Tensor:
    """The model's scores of all samples, (n, outputs), on the CPU. The model is in evaluation mode then."""
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        scores = [
            model.scores(samples.inputs(positions).to(device)).cpu()
            for positions in batches(np.arange(len(samples)), batch_size)
        ]
    return torch.cat(scores)


def rows_predictor(
    model: Model, data: Data, batch_size: int
) -> Callable[[pd.DataFrame], NDArray[np.float64]]:
    """What takes raw rows of the table and gives their classes' numbers, or their quantities."""

    def predicted(features: pd.DataFrame) -> NDArray[np.float64]:
        device = next(model.parameters()).device
        scores = predict(model, Columns(features, np.zeros(len(features)), data.preprocessing), batch_size)
        answers: NDArray[np.float64] = model.answers(scores.to(device)).cpu().numpy()
        return answers.argmax(axis=1) if data.class_names else answers[:, 0]

    return predicted


def batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """The order in pieces of `size`; a last piece of one sample joins the one before it.

    One sample has no mean and deviation, which batch normalisation needs.
    """
    ends = [*range(size, len(order), size), len(order)]
    if size > 1 and len(ends) > 1 and ends[-1] - ends[-2] == 1:
        del ends[-2]
    for begin, end in zip([0, *ends], ends, strict=False):
        yield order[begin:end]


def _train_epoch(
    model: Model,
    samples: Samples,
    settings: Settings,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    epochs: live.Epochs,
) -> Epoch:
    """One pass; the metrics are the means over it, while the weights were changing."""
    model.train()
    order = np.random.default_rng([settings.seed, epoch]).permutation(len(samples))
    sums: dict[str, float] = {}
    for number, positions in enumerate(batches(order, settings.batch_size), 1):
        inputs = samples.inputs(positions).to(device)
        target = samples.target[torch.from_numpy(positions)].to(device)
        optimizer.zero_grad()
        scores = model.scores(inputs)
        loss = model.loss(scores, target)
        loss.backward()
        optimizer.step()
        with torch.inference_mode():
            for name, value in _measure(model, scores.detach(), target, loss).items():
                sums[name] = sums.get(name, 0.0) + value * len(positions)
        epochs.step(number)
    return {name: value / len(samples) for name, value in sums.items()}


def _measure(model: Model, scores: Tensor, target: Tensor, loss: Tensor | None = None) -> Epoch:
    """Loss, and accuracy of classes or the mean absolute error of a quantity."""
    with torch.inference_mode():
        mean = model.loss(scores, target) if loss is None else loss
        answers = model.answers(scores)
        if model.loss_name in CLASSIFICATION:
            right = (answers.argmax(dim=1) == target).float().mean()
            return {"loss": mean.item(), "accuracy": right.item()}
        return {"loss": mean.item(), "mae": (answers[:, 0] - target).abs().mean().item()}


def _refuse_divergence(epoch: int, values: Mapping[str, float]) -> None:
    if not np.isfinite([values["loss"], values["val_loss"]]).all():
        raise InputError(
            f"The loss of epoch {epoch} is no finite number: the training has diverged.",
            "Try a lower --learning-rate.",
        )


def _optimizer(model: Model, settings: Settings) -> torch.optim.Optimizer:
    rate = settings.learning_rate
    match settings.optimizer:
        case "SGD":
            return torch.optim.SGD(model.parameters(), lr=rate, momentum=settings.momentum)
        case "Adam":
            return torch.optim.Adam(model.parameters(), lr=rate)
        case "AdamW":
            return torch.optim.AdamW(model.parameters(), lr=rate)
        case unknown:
            raise InputError(f"There is no optimizer {unknown}.", "Use SGD, Adam or AdamW.")


def _on_cpu(model: Model) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in model.state_dict().items()}


def _keep(folder: Path, model: Model, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write all that the next epoch needs; whoever is killed in between leaves the last state."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{_STATE}{run_environment.UNFINISHED_SUFFIX}"
    torch.save(
        {
            "model": _on_cpu(model),
            "optimizer": optimizer.state_dict(),
            "history": progress.history,
            "best": progress.best,
            "best_weights": progress.best_weights,
        },
        unfinished,
    )
    unfinished.replace(folder / _STATE)


def _kept_ms(folder: Path) -> int:
    return (folder / _STATE).stat().st_mtime_ns // 1_000_000


def _resume(folder: Path, model: Model, optimizer: torch.optim.Optimizer) -> Progress:
    path = folder / _STATE
    if not path.exists():
        return Progress()
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(state["history"], state["best"], state["best_weights"])
