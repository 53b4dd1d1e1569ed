"""What a killed training goes on from: the model, its optimizer and the history, kept after each epoch."""

import json
import shutil
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trainkit import paths
from trainkit.run_environment import CHECKPOINTS, UNFINISHED_PREFIX, UNFINISHED_SUFFIX

if TYPE_CHECKING:
    import keras

Epoch = dict[str, float]
"""The metrics of one epoch by their names."""


@dataclass(frozen=True)
class History:
    """The epochs of one phase of a training, the first being epoch number `first`."""

    first: int = 1
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The number of the last epoch so far."""
        return self.first + len(self.epochs) - 1

    @property
    def best(self) -> int:
        """The number of the epoch with the lowest validation loss, the first of equals."""
        losses = [epoch["val_loss"] for epoch in self.epochs]
        return self.first + losses.index(min(losses))

    def stalled(self, patience: int) -> bool:
        """Whether the last `patience` epochs brought no lower validation loss; never with a patience of 0."""
        return 0 < patience <= self.last - self.best if self.epochs else False


@dataclass(frozen=True)
class Checkpoints:
    """The last and the best epoch of one phase, in a folder that later starts of the same run find again.

    Whatever instant the process is killed at, state.json names epochs whose files are whole.
    """

    folder: Path

    def read(self, first: int) -> History:
        """The history of what an earlier start of this run has finished; an empty one if there is none."""
        state = self.folder / "state.json"
        if not state.exists():
            return History(first)
        return History(first, json.loads(state.read_text()))

    def save(self, model: "keras.Model", history: History) -> None:
        """Keep the model and its optimizer as they are after the last epoch of the history."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # Keras goes by the end of the name.
        unfinished = self.folder / f"{UNFINISHED_PREFIX}{uuid.uuid4().hex}.weights.h5"
        model.save_weights(unfinished)
        unfinished.replace(self._file(history.last))
        text = self.folder / f"state.json{UNFINISHED_SUFFIX}"
        text.write_text(json.dumps(history.epochs))
        text.replace(self.folder / "state.json")
        needed = (self._file(history.last), self._file(history.best))
        for file in self.folder.glob("*.weights.h5"):
            if file not in needed:
                file.unlink()

    def saved_ms(self) -> int:
        """When the last epoch was kept, in milliseconds since 1970: the time of its metrics.

        Logged again with the same time, they are the same points, and a tracking server stores those once.
        """
        return (self.folder / "state.json").stat().st_mtime_ns // 1_000_000

    def restore(self, model: "keras.Model", epoch: int) -> None:
        """Give a compiled model the weights and the state of the optimizer that it had after that epoch."""
        model.optimizer.build(model.trainable_variables)
        model.load_weights(self._file(epoch))

    def _file(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:04}.weights.h5"


def of_run(run_id: str, phase: str) -> Checkpoints:
    """The checkpoints of one phase of an MLflow run, in the cache."""
    return Checkpoints(_folder(run_id) / phase)


def remove(run_id: str) -> None:
    """Remove the run's checkpoints: its model has been logged."""
    shutil.rmtree(_folder(run_id), ignore_errors=True)


def joined(*phases: History) -> History:
    """The epochs of all phases, one after the other, as those of one."""
    return History(phases[0].first, [epoch for phase in phases for epoch in phase.epochs])


def _folder(run_id: str) -> Path:
    return paths.cache() / CHECKPOINTS / run_id
