"""A model as its run has logged it, which answers as one in an ONNX file does: MLflow loads it.

Loading it runs whatever its pickle holds. It is for models that have no way to ONNX.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, cast

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import Model
from numpy.typing import NDArray

from trainkit.errors import InputError
from trainkit.inference import cells
from trainkit.inference.cells import Cell, Row
from trainkit.inference.description import Category, Column, Date, Description, Images, Table
from trainkit.inference.predictor import Answers, Numbers, Pixels, refuse_impossible
from trainkit.models import samples
from trainkit.models.export import MODEL, WHY

_PICTURES, _ROWS = 8, 4096
_Asked: TypeAlias = pd.DataFrame | NDArray[np.generic]


@dataclass(frozen=True)
class LoggedModel:
    """A model in memory, asked by one thread at a time. `version` is the SHA-256 of its files."""

    description: Description
    version: str
    served_by: str
    _ask: Callable[[_Asked], object]
    _types: Mapping[str, np.dtype[np.generic]]
    """What its signature takes: by the columns' names, or that of pictures, under an empty name."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answers(self, inputs: Sequence[Pixels] | Sequence[Row], *, ignored: Sequence[str] = ()) -> Answers:
        """As `Predictor.answers`."""
        taken = self.description.input
        if isinstance(taken, Images):
            pictures = cast(Sequence[Pixels], inputs)
            kind = self._types.get("", np.dtype(np.float32))
            batches: list[_Asked] = [
                np.stack(pictures[start : start + _PICTURES]).astype(kind)
                for start in range(0, len(pictures), _PICTURES)
            ]
        else:
            frame = self._frame(cast(Sequence[Row], inputs), taken, ignored)
            batches = [frame.iloc[start : start + _ROWS] for start in range(0, len(frame), _ROWS)]
        if not batches:
            return Answers(np.empty((0, max(1, len(self.description.classes)))))
        values = np.concatenate([self._answered(batch) for batch in batches])
        refuse_impossible(values, self.description)
        return Answers(values)

    def _frame(self, rows: Sequence[Row], taken: Table, ignored: Sequence[str]) -> pd.DataFrame:
        read = cells.read(rows, taken, ignored=ignored)
        columns = {column.name: _series(column, read[column.name], rows) for column in taken.columns}
        frame = pd.DataFrame(columns)
        for name, kind in self._types.items():
            if name in columns and kind.kind in "iub":
                if columns[name].isna().any():
                    raise InputError(f"The column {name!r} has a missing cell.", "Fill it in.")
                frame[name] = frame[name].astype(kind)
        return frame

    def _answered(self, batch: _Asked) -> Numbers:
        try:
            with self._lock:
                answer = self._ask(batch)
            values = np.asarray(answer, dtype=np.float64).reshape(len(batch), -1)
        except Exception as error:  # noqa: BLE001 (whatever its code raises)
            why = f"{type(error).__name__}: {error}"
            raise InputError(
                f"The model fails at its input: {why[:500]}", "See what it was trained on."
            ) from None
        # One number for two classes is the second one's probability.
        if len(self.description.classes) == 2 and values.shape[1] == 1:
            values = np.concatenate([1 - values, values], axis=1)
        return cast(Numbers, values)


def load(folder: Path) -> LoggedModel:
    """The model in a folder: `model/`, MLflow's, `WHY`, and the run's `model_samples.npz` where it has them.

    Raises `InputError` where that does not say what the model takes, or the model cannot be loaded.
    """
    why = json.loads((folder / WHY).read_text(encoding="utf-8"))
    try:
        loaded = mlflow.pyfunc.load_model(str(folder / MODEL))
        model = loaded.get_raw_model()
    except Exception as error:  # noqa: BLE001 (whatever its code raises)
        said = f"{type(error).__name__}: {error}"
        raise InputError(f"MLflow cannot load the model: {said[:500]}", "Run its project again.") from None
    framework = _framework(folder / MODEL)
    described = _described(folder, model).model_copy(update={"run_id": why["run_id"], "framework": framework})
    gives_probabilities = bool(described.classes) and hasattr(model, "predict_proba")
    return LoggedModel(
        described,
        _digest(folder / MODEL),
        f"{framework}: {why['why']}",
        model.predict_proba if gives_probabilities else loaded.predict,
        _types(folder / MODEL),
    )


def _described(folder: Path, model: object) -> Description:
    artifact = folder / samples.ARTIFACT
    if artifact.is_file():
        return samples.read(artifact.read_bytes()).description
    if "sklearn" in Model.load(str(folder / MODEL)).flavors:
        from trainkit.sklearn import example

        return example.samples(model, folder / MODEL).description
    raise InputError(
        f"The run has no {samples.ARTIFACT}, which says what the model takes.",
        "Run the project again with this version of trainer.",
    )


def _framework(folder: Path) -> str:
    """`sklearn 1.9.1`."""
    for name, said in Model.load(str(folder)).flavors.items():
        if name != "python_function":
            return " ".join([name, *(value for key, value in said.items() if key.endswith("_version"))][:2])
    return "python"


def _types(folder: Path) -> dict[str, np.dtype[np.generic]]:
    signature = Model.load(str(folder)).signature
    if signature is None or signature.inputs is None:
        return {}
    schema = signature.inputs
    if schema.is_tensor_spec():
        return {"": schema.inputs[0].type}
    return {spec.name: spec.type.to_numpy() for spec in schema.inputs if hasattr(spec.type, "to_numpy")}


def _series(column: Column, read: Sequence[Cell], rows: Sequence[Row]) -> pd.Series:
    if isinstance(column, Date):  # the model takes it as it comes
        return pd.Series([row[column.name] for row in rows], dtype=object)
    if isinstance(column, Category) and not cells.is_coded(column):
        return pd.Series(read, dtype=object)
    return pd.Series(read, dtype=np.float64)


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
