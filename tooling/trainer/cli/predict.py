"""`trainer predict`: what a model answers to images or rows."""

from __future__ import annotations

import csv
import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer import printable
from trainer.cli import output
from trainer.cli.context import current_workspace, tracking_option
from trainer.counted import counted
from trainer.errors import InvalidInput

if TYPE_CHECKING:
    from trainkit.inference.description import Description
    from trainkit.inference.predictor import Predictor

    from trainer.models.kept import ModelFile
    from trainer.models.predict import Prediction, Predictions

_TOP = 3
_BAR = 30


def complete_any_model(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Registered models, runs, and files."""
    from trainer.cli.models.argument import complete_model
    from trainer.cli.runs.completion import complete_run

    items = [*complete_model(ctx, parameter, incomplete), *complete_run(ctx, parameter, incomplete)]
    return [*items, CompletionItem(incomplete, type="file")]


def complete_file(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files and folders."""
    return [CompletionItem(incomplete, type="file")]


@click.command(
    short_help="Predict images or rows with a model.",
    epilog="""\b
Examples: trainer predict skin@champion photo.jpg
          trainer predict @last data/new_photos --csv > answers.csv
          trainer predict model.onnx customers.csv --keep id
          trainer predict skin@3 photo.jpg --explain -o maps""",
)
@click.argument("model", metavar="MODEL", shell_complete=complete_any_model)
@click.argument("inputs", metavar="INPUT…", nargs=-1, required=True, shell_complete=complete_file)
@click.option("--top", type=click.IntRange(1), default=_TOP, show_default=True, metavar="N",
              help="Number of classes to print for each input.")  # fmt: skip
@click.option("--keep", "kept", multiple=True, metavar="COLUMN",
              help="Column of a CSV that is no input: print it beside the answer.")  # fmt: skip
@click.option("--explain", is_flag=True, help="Also draw where in each image the model sees its answer.")
@click.option("-o", "--output", "folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
              help="Folder for what --explain draws. [default: .]")  # fmt: skip
@click.option("--csv", "as_csv", is_flag=True, help="Print as CSV, with the probability of each class.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, with the probability of each class.")
@tracking_option
def predict(
    model: str, inputs: tuple[str, ...], top: int, kept: tuple[str, ...], explain: bool,
    folder: Path | None, as_csv: bool, as_json: bool,
) -> None:  # fmt: skip
    """Predict images or rows of a table with MODEL, on this machine, with ONNX Runtime.

    MODEL is an ONNX file, a registered model (NAME@ALIAS or NAME@VERSION), or a run: the beginning of its id,
    its name, @last or @best:METRIC. It is downloaded once. INPUT is an image, a folder of images, a CSV file,
    or - for one on stdin. An image that cannot be read is named, and the others are predicted; the exit code
    is 2 then.
    """
    from trainkit.inference.description import Images

    from trainer.models import predict as use_case
    from trainer.models.predict import sources
    from trainer.subprocesses import interruptible

    if as_csv and as_json:
        raise InvalidInput("--csv and --json are given together.", "Use one of them.")
    if folder and not explain:
        raise InvalidInput("-o is for what --explain draws.", "Add --explain, or leave it out.")
    with interruptible():
        file = _located(model)
        predictor = file.open()
        taken = predictor.description.input
        stdin = functools.cache(sys.stdin.buffer.read)
        if isinstance(taken, Images):
            if kept:
                raise InvalidInput("--keep is for the columns of a CSV.", f"{file.name} takes images.")
            given = sources.pictures(inputs)
            with output.Bar() as bar:
                predictions = use_case.of_pictures(
                    predictor, taken, given, stdin, bar, into=(folder or Path()) if explain else None
                )
        else:
            if explain:
                raise InvalidInput("--explain is for images.", f"{file.name} takes rows of a table.")
            with output.Bar() as bar:
                predictions = use_case.of_rows(predictor, taken, sources.tables(inputs), stdin, kept, bar)
    if as_json:
        output.as_json(_as_json(file, predictor, predictions))
    elif as_csv:
        _print_csv(predictor.description, predictions, kept)
    elif predictions.answered:
        _print(predictor.description, predictions, kept, top)
    _tell(model, file, predictions)


def _located(text: str) -> ModelFile:
    from trainer.models import kept

    if file := kept.on_disk(text):
        return file
    from trainer.models import locate

    with output.Bar(counts_bytes=True) as bar:
        return locate.locate(current_workspace(), text, bar)


def _tell(said: str, file: ModelFile, predictions: Predictions) -> None:
    """What stands beside the answers; raises `InvalidInput` where an input has none."""
    meant = f"{said} is {file.name}." if file.sha256 and said != file.name else ""
    for remark in filter(None, [file.remark or meant, *predictions.remarks]):
        output.tell(printable.line(remark))
    for path in predictions.maps:
        output.tell(f"Explanation: {printable.line(str(path))}")
    if lost := predictions.unanswered:
        if len(lost) + len(predictions.answered) == 1:
            raise lost[0].error
        for each in lost[1:]:
            output.tell(f"Not read: {printable.line(each.error.message)}")
        raise InvalidInput(
            f"{counted(len(lost), 'image')} could not be read: {lost[0].error.message}",
            "The others are answered. Fix or remove it." if predictions.answered else "Fix or remove it.",
        )


def _print(described: Description, predictions: Predictions, kept: Sequence[str], top: int) -> None:
    answered = predictions.answered
    if described.classes and len(answered) == 1 and not kept:
        _print_one(described, answered[0], top)
        return
    several = len({prediction.source for prediction in answered}) > 1
    of_rows = answered[0].row is not None
    heading = ["row" if of_rows else "image"]
    if of_rows and several:
        heading = ["file", "row"]
    if described.classes:
        answers = ["class", "confidence", *(["next"] if top > 1 else [])]
    else:
        answers = [described.target or "answer"]
    rows = [
        [*_named(prediction, several), *(prediction.kept.values()), *_answer(described, prediction, top)]
        for prediction in answered
    ]
    least = len(heading) + len(kept) + min(2, len(answers))
    output.table([*heading, *kept, *answers], rows, numbers=0 if described.classes else 1, least=least)


def _print_one(described: Description, prediction: Prediction, top: int) -> None:
    click.echo(output.style(printable.line(_label(prediction)), bold=True))
    rows = [
        (name, _percent(share), "█" * round(share * _BAR)) for name, share in _ranked(described, prediction)
    ]
    output.table(["class", "confidence", ""], rows[:top])


def _label(prediction: Prediction) -> str:
    row = "" if prediction.row is None else f" row {prediction.row}"
    return f"{prediction.source.name}{row}"


def _named(prediction: Prediction, several: bool) -> Iterator[str]:
    if prediction.row is None or several:
        yield prediction.source.name
    if prediction.row is not None:
        yield str(prediction.row)


def _answer(described: Description, prediction: Prediction, top: int) -> Iterator[str]:
    if not described.classes:
        yield f"{prediction.values[0]:,.6g}"
        return
    (name, share), *others = _ranked(described, prediction)[:top]
    yield name
    yield _percent(share)
    if top > 1:
        yield ", ".join(f"{name} {_percent(share).strip()}" for name, share in others)


def _ranked(described: Description, prediction: Prediction) -> list[tuple[str, float]]:
    pairs = zip(described.classes, prediction.values, strict=True)
    return sorted(pairs, key=lambda pair: -pair[1])


def _percent(share: float) -> str:
    return f"{share:6.1%}"


def _print_csv(described: Description, predictions: Predictions, kept: Sequence[str]) -> None:
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


def _as_json(file: ModelFile, predictor: Predictor, predictions: Predictions) -> dict[str, object]:
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
    named = {"input": prediction.source.name, **row, **kept}
    if not described.classes:
        return {**named, "value": prediction.values[0]}
    ranked = _ranked(described, prediction)
    return {**named, "class": ranked[0][0], "confidence": ranked[0][1], "probabilities": dict(ranked)}
