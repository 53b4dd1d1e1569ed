"""Predictions as a file for other programs."""

from __future__ import annotations

import contextlib
import csv
import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import IO

from trainer import atomic_files
from trainer.errors import FileError, InvalidInput
from trainer.predictions.reader import Prediction, written

_LISTS = ("classes", "probabilities", "embedding")
_COLUMNS = {
    "class" if field.name == "answer" else field.name: field.name
    for field in fields(Prediction)
    if field.name not in _LISTS
}


def plain(prediction: Prediction) -> dict[str, object]:
    """What JSON can say of it."""
    numbers = struct.iter_unpack("<f", prediction.embedding or b"")
    return {
        **{column: getattr(prediction, name) for column, name in _COLUMNS.items()},
        "time": written(prediction.time),
        "probabilities": dict(zip(prediction.classes, prediction.probabilities, strict=False)),
        "embedding": [number for (number,) in numbers] if prediction.embedding is not None else None,
    }


def to_file(predictions: Iterable[Prediction], classes: Sequence[str], path: Path, *, replace: bool) -> int:
    """Write them to a .csv or .jsonl; how many they are. The file is there whole, or not at all.

    A CSV has a column for each of the `classes`. Raises `InvalidInput` for another ending, and where the file
    exists and is not to be replaced; `FileError`.
    """
    is_csv = path.suffix.lower() == ".csv"
    if not is_csv and path.suffix.lower() != ".jsonl":
        raise InvalidInput(f"{path} ends neither in .csv nor in .jsonl.", "Choose one of them.")
    if path.exists() and not replace:
        raise _exists(path)
    unfinished = atomic_files.beside(path)
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            count = _csv(predictions, classes, file) if is_csv else _jsonl(predictions, file)
        if replace:
            unfinished.replace(path)
        else:
            atomic_files.rename(unfinished, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}.", "Choose another file.") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
    return count


def _exists(path: Path) -> InvalidInput:
    return InvalidInput(f"{path} exists.", "Choose another file, or replace it: --force")


def _csv(predictions: Iterable[Prediction], classes: Sequence[str], file: IO[str]) -> int:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(f"probability_{name}" for name in classes)])

    def line(record: Prediction) -> int:
        cells = plain(record)
        by_class = dict(zip(record.classes, record.probabilities, strict=False))
        writer.writerow([*(cells[name] for name in _COLUMNS), *(by_class.get(name, "") for name in classes)])
        return 1

    return sum(map(line, predictions))


def _jsonl(predictions: Iterable[Prediction], file: IO[str]) -> int:
    def line(record: Prediction) -> int:
        file.write(f"{json.dumps(plain(record), ensure_ascii=False)}\n")
        return 1

    return sum(map(line, predictions))
