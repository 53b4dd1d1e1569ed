"""Answers of a model as a table, CSV and JSON."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import output

if TYPE_CHECKING:
    from trainkit.inference.description import Description
    from trainkit.inference.predictor import Predictor

    from trainer.models.kept import ModelFile
    from trainer.models.predict import Prediction, Predictions

_BAR = 30
_REASONS = 3


def as_table(described: Description, predictions: Predictions, kept: Sequence[str], top: int) -> None:
    """Print the answers, of which there is one at least: of one input its classes, of more a line each."""
    answered = predictions.answered
    if described.classes and len(answered) == 1 and not kept and not answered[0].because:
        _one(described, answered[0], top)
        return
    several = len({prediction.source for prediction in answered}) > 1
    folder = _folder_of_all([prediction.source.name for prediction in answered]) if several else ""
    if folder:
        click.echo(output.style(printable.line(folder), bold=True))
    of_rows = answered[0].row is not None
    heading = ["ROW" if of_rows else "IMAGE"]
    if of_rows and several:
        heading = ["FILE", "ROW"]
    answers = ["CLASS", "CONFIDENCE"] if described.classes else [described.target or "ANSWER"]
    explained = ["BECAUSE OF"] if any(prediction.because for prediction in answered) else []
    others = ["NEXT"] if described.classes and top > 1 else []
    rows = [
        [
            *_named(prediction, several, folder),
            *prediction.kept.values(),
            *_answer(described, prediction),
            *(_because(described, prediction) for _ in explained),
            *(_next(described, prediction, top) for _ in others),
        ]
        for prediction in answered
    ]
    headings = [*heading, *kept, *answers, *explained, *others]
    least = len(headings) - len(others)
    output.table(headings, rows, numbers=0 if described.classes or explained else 1, least=least)


def _one(described: Description, prediction: Prediction, top: int) -> None:
    click.echo(output.style(printable.line(_label(prediction)), bold=True))
    rows = [
        (name, _percent(share), "█" * round(share * _BAR)) for name, share in _ranked(described, prediction)
    ]
    output.table(["CLASS", "CONFIDENCE", ""], rows[:top], least=2)


def _label(prediction: Prediction) -> str:
    row = "" if prediction.row is None else f" row {prediction.row}"
    return f"{prediction.source.name}{row}"


def _folder_of_all(names: Sequence[str]) -> str:
    """The folder that all of the files are in, which each line need not name; "" where there is none."""
    parents = {Path(name).parent for name in names}
    if Path() in parents or len({parent.is_absolute() for parent in parents}) > 1:
        return ""
    return os.path.commonpath(parents)


def _named(prediction: Prediction, several: bool, folder: str) -> Iterator[str]:
    if prediction.row is None or several:
        yield os.path.relpath(prediction.source.name, folder) if folder else prediction.source.name
    if prediction.row is not None:
        yield str(prediction.row)


def _answer(described: Description, prediction: Prediction) -> Iterator[str]:
    if not described.classes:
        yield f"{prediction.values[0]:,.6g}"
        return
    name, share = _ranked(described, prediction)[0]
    yield name
    yield _percent(share)


def _next(described: Description, prediction: Prediction, top: int) -> str:
    others = _ranked(described, prediction)[1:top]
    return ", ".join(f"{name} {_percent(share).strip()}" for name, share in others)


def _because(described: Description, prediction: Prediction) -> str:
    """The columns that the answer is due to most; without them, it would be less by so much, or more."""
    strongest = list(prediction.because.items())[:_REASONS]
    return ", ".join(
        f"{name} {drop:+.1%}" if described.classes else f"{name} {drop:+,.3g}" for name, drop in strongest
    )


def _ranked(described: Description, prediction: Prediction) -> list[tuple[str, float]]:
    pairs = zip(described.classes, prediction.values, strict=True)
    return sorted(pairs, key=lambda pair: -pair[1])


def _percent(share: float) -> str:
    return f"{share:6.1%}"


def as_csv(described: Description, predictions: Predictions, kept: Sequence[str]) -> None:
    """Print the answers with all probabilities, in the order of the model's classes."""
    of_rows = any(prediction.row is not None for prediction in predictions.answered)
    answers = ["class", "confidence", *(f"probability_{name}" for name in described.classes)]
    if not described.classes:
        answers = [described.target or "answer"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["input", *(["row"] if of_rows else []), *kept, *answers])
    for prediction in predictions.answered:
        best = list(_ranked(described, prediction)[0]) if described.classes else []
        row = [] if prediction.row is None else [prediction.row]
        writer.writerow([prediction.source.name, *row, *prediction.kept.values(), *best, *prediction.values])


def as_json(file: ModelFile, predictor: Predictor, predictions: Predictions) -> dict[str, object]:
    """The answers, with all probabilities, the most probable class first; and which model gave them."""
    described = predictor.description
    return {
        "model": {
            "name": file.name,
            "sha256": predictor.version,
            "run_id": described.run_id,
            "task": described.task,
        },
        "predictions": [_prediction(described, each) for each in predictions.answered],
        "unanswered": [
            {"input": each.source.name, "error": each.error.message} for each in predictions.unanswered
        ],
    }


def _prediction(described: Description, prediction: Prediction) -> dict[str, object]:
    row = {} if prediction.row is None else {"row": prediction.row}
    kept = {"kept": dict(prediction.kept)} if prediction.kept else {}
    because = {"because": dict(prediction.because)} if prediction.because else {}
    named = {"input": prediction.source.name, **row, **kept, **because}
    if not described.classes:
        return {**named, "value": prediction.values[0]}
    ranked = _ranked(described, prediction)
    return {**named, "class": ranked[0][0], "confidence": ranked[0][1], "probabilities": dict(ranked)}
