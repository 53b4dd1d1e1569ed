"""`trainer predict`: what a model answers to images or rows."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer import printable
from trainer.cli import output
from trainer.cli.context import current_workspace, tracking_option
from trainer.cli.examples import examples
from trainer.cli.predict import printed
from trainer.counted import counted
from trainer.errors import InvalidInput

if TYPE_CHECKING:
    from trainer.models.kept import ModelFile
    from trainer.models.predict import Predictions

_TOP = 3


def complete_any_model(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Registered models, runs, and files."""
    from trainer.cli.models.argument import complete_version_or_run

    items = complete_version_or_run(ctx, parameter, incomplete)
    return [*items, CompletionItem(incomplete, type="file")]


def complete_file(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files and folders."""
    return [CompletionItem(incomplete, type="file")]


@click.command(
    short_help="Predict images or rows with a model.",
    epilog=examples(
        "trainer predict skin@champion photo.jpg",
        "trainer predict @last data/new_photos --csv > answers.csv",
        "trainer predict model.onnx customers.csv --keep id",
        "trainer predict skin@3 photo.jpg --explain -o maps",
    ),
)
@click.argument("model", metavar="MODEL", shell_complete=complete_any_model)
@click.argument("inputs", metavar="INPUT…", nargs=-1, required=True, shell_complete=complete_file)
@click.option("--top", type=click.IntRange(1), default=_TOP, show_default=True, metavar="N",
              help="Number of classes to print for each input.")  # fmt: skip
@click.option("--keep", "kept", multiple=True, metavar="COLUMN",
              help="Column of a CSV that the model does not take: print it beside the answer.")  # fmt: skip
@click.option(
    "--explain",
    is_flag=True,
    help="Also say what each answer is due to: draw it for images, name the columns of rows.",
)
@click.option("-o", "--output", "folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
              help="Folder for what --explain draws of images. [default: .]")  # fmt: skip
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
        file = located(model)
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
            if folder:
                raise InvalidInput("-o is for images.", f"{file.name} takes rows of a table.")
            with output.Bar() as bar:
                predictions = use_case.of_rows(
                    predictor, taken, sources.tables(inputs), stdin, kept, bar, explain=explain
                )
    if as_json:
        output.as_json(printed.as_json(file, predictor, predictions))
    elif as_csv:
        printed.as_csv(predictor.description, predictions, kept)
    elif predictions.answered:
        printed.as_table(predictor.description, predictions, kept, top)
    _tell(model, file, predictions)


def located(text: str) -> ModelFile:
    """The ONNX file that the argument MODEL means, downloaded if need be. Raises as `locate.locate`."""
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
        first = ", the first" if len(lost) > 1 else ""
        raise InvalidInput(
            f"{counted(len(lost), 'image')} could not be read{first}: {lost[0].error.message}",
            "The others are answered. Fix or remove it." if predictions.answered else "Fix or remove it.",
        )
