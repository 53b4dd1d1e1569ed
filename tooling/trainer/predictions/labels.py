"""What people say that a prediction should have been. Each label is a row more: the ones before it stay."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from trainer.errors import FileError, InvalidInput
from trainer.predictions import reader
from trainer.predictions.log_file import Log
from trainer.predictions.reader import Prediction


@dataclass(frozen=True)
class Labelling:
    """A label that was checked and not written yet; None takes the one that is there away."""

    log: Log
    prediction: Prediction
    label: str | None

    @property
    def changes(self) -> bool:
        """Whether it says something else than before."""
        return self.label != self.prediction.label


def one(logs: Sequence[Log], prefix: str, label: str | None, *, may_be_new: bool = False) -> Labelling:
    """The label of the prediction whose id begins so.

    Raises `InvalidInput` for an id that is none, a class that neither the model has nor an earlier label,
    unless it `may_be_new`, and for a quantity that is no number.
    """
    log, prediction = reader.found(logs, prefix)
    return Labelling(log, prediction, None if label is None else _checked(log, prediction, label, may_be_new))


def of_file(logs: Sequence[Log], path: Path, *, may_be_new: bool = False) -> list[Labelling]:
    """Those of a CSV with the columns id and label; a row without a label is passed over.

    Raises `FileError`, and `InvalidInput` that names the line.
    """
    found = list[Labelling]()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file, strict=True)
            if not {"id", "label"} <= set(lines.fieldnames or ()):
                raise InvalidInput(
                    f"{path} has no columns id and label.",
                    "Its first line has the names of the columns, such as id,label.",
                )
            for line in lines:
                if label := (line["label"] or "").strip():
                    try:
                        found.append(one(logs, line["id"] or "", label, may_be_new=may_be_new))
                    except InvalidInput as error:
                        raise InvalidInput(f"{path}:{lines.line_num}: {error.message}", error.hint) from None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.", "See --from.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} cannot be read: {error}.", "Write it as CSV in UTF-8.") from None
    return found


def classes(log: Log, prediction: Prediction) -> list[str]:
    """Those that a label may be: the model's, and those of earlier labels."""
    labelled = log.connection.execute(
        "SELECT DISTINCT label FROM labels WHERE label IS NOT NULL ORDER BY label"
    )
    return list(dict.fromkeys([*prediction.classes, *(row["label"] for row in labelled)]))


def _checked(log: Log, prediction: Prediction, label: str, may_be_new: bool) -> str:
    if not prediction.classes:
        try:
            number = float(label)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InvalidInput(f"{label!r} is no number.", f"{prediction.called} predicts numbers.")
        return repr(number)
    known = classes(log, prediction)
    if label in known or (may_be_new and label.strip()):
        return label
    raise InvalidInput(
        f"There is no class {label}.", f"The classes are {', '.join(known)}. For another one: --new-class"
    )


def write(labellings: Sequence[Labelling], by: str) -> int:
    """Write them, all of a log or none; how many say something else than before. `by` is the user's name."""
    changed = [each for each in labellings if each.changes]
    at = reader.written(datetime.now(UTC))
    for connection in {id(each.log): each.log.connection for each in changed}.values():
        rows = [
            (each.prediction.request, each.prediction.position, each.label, by, at)
            for each in changed
            if each.log.connection is connection
        ]
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO labels (request, position, label, labelled_by, labelled_at)"
                " VALUES (?, ?, ?, ?, ?)",
                rows,
            )
    return len(changed)
