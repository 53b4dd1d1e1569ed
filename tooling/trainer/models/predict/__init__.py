"""What a model answers to pictures or rows: with ONNX Runtime in this process, without a framework."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from trainkit.errors import InputError

from trainer.counted import counted
from trainer.errors import Interrupted, InvalidInput
from trainer.models.predict import maps
from trainer.models.predict.sources import Source

if TYPE_CHECKING:
    from trainkit.inference.cells import Row
    from trainkit.inference.description import Images, Table
    from trainkit.inference.images import Picture
    from trainkit.inference.predictor import Predictor

_AT_ONCE = 32
_NAMED = 3
Bar = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Prediction:
    """The answer to one input: probabilities in the order of the classes, or one quantity.

    `source` is the file; `row` is its number in a CSV file, where the first is 1. `kept` are cells of it.
    `because` has, by column, how much the answer falls without that cell, where it was asked for.
    """

    source: Source
    values: tuple[float, ...]
    row: int | None = None
    kept: Mapping[str, str] = field(default_factory=dict)
    because: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Unanswered:
    """A picture that could not be read."""

    source: Source
    error: InputError


@dataclass(frozen=True)
class Predictions:
    """The answers in the order of the inputs. `remarks` are lines that say what was done to inputs.

    `maps` are the files that explain answers.
    """

    answered: tuple[Prediction, ...]
    unanswered: tuple[Unanswered, ...] = ()
    remarks: tuple[str, ...] = ()
    maps: tuple[Path, ...] = ()


def of_pictures(
    predictor: Predictor, taken: Images, given: Sequence[Source], stdin: Callable[[], bytes], bar: Bar,
    *, into: Path | None = None,
) -> Predictions:  # fmt: skip
    """The answers to pictures. One that cannot be read leaves the others their answers.

    `into` is a folder for pictures that explain the answers. Raises `InvalidInput` where one exists.
    """
    planned = dict(zip(given, maps.plan(given, into), strict=True)) if into is not None else {}
    answered, unanswered, conversions = list[Prediction](), list[Unanswered](), Counter[str]()
    drawn = list[Path]()
    for batch in _decoded(taken, given, stdin):
        read = []
        for source, picture in batch:
            if isinstance(picture, InputError):
                unanswered.append(Unanswered(source, picture))
            else:
                read.append((source, picture.pixels))
                conversions.update(picture.conversions)
        values = predictor.answers([pixels for _, pixels in read]).values
        for (source, pixels), row in zip(read, values.tolist(), strict=True):
            if path := planned.get(source):
                with _going_on(drawn):
                    bar("Explaining", len(drawn), len(planned))
                    maps.write(path, pixels, predictor)
                drawn.append(path)
            answered.append(Prediction(source, tuple(row)))
        bar("Predicting", len(answered) + len(unanswered), len(given))
    remarks = [f"{counted(count, 'image')}: {what}" for what, count in conversions.most_common()]
    return Predictions(tuple(answered), tuple(unanswered), tuple(remarks), tuple(drawn))


def of_rows(
    predictor: Predictor, taken: Table, given: Sequence[Source], stdin: Callable[[], bytes],
    kept: Sequence[str], bar: Bar, *, explain: bool = False,
) -> Predictions:  # fmt: skip
    """The answers to the rows of CSV files.

    `kept` are columns that are no input, and stand beside the answers; the column that is predicted may be
    there, too. Raises `InvalidInput` for a file that is wrong, and names the row.
    """
    answered, remarks = list[Prediction](), list[str]()
    ignored = [*kept, *filter(None, [predictor.description.target])]
    for number, source in enumerate(given):
        bar("Predicting", number, len(given))
        rows = _rows(source, stdin)
        if lacking := [name for name in kept if name not in rows[0]]:
            raise InvalidInput(f"{source.name} has no column {lacking[0]!r}.", "Check --keep.")
        try:
            values = predictor.answers(rows, ignored=ignored).values.tolist()
        except InputError as error:
            raise InputError(
                f"{source.name}: {error.message}", _hint(error, rows[0], taken, ignored)
            ) from None
        for row, (cells, numbers) in enumerate(zip(rows, values, strict=True), 1):
            because = dict[str, float]()
            if explain:
                bar(f"Explaining {source.name}", row, len(rows))
                because = _because(predictor, taken, cells)
            beside = {name: str(cells[name] or "") for name in kept}
            answered.append(Prediction(source, tuple(numbers), row, beside, because))
        remarks += _unseen(rows, taken, ignored, source.name)
    return Predictions(tuple(answered), (), tuple(remarks))


def _decoded(
    taken: Images, given: Sequence[Source], stdin: Callable[[], bytes]
) -> Iterator[list[tuple[Source, Picture | InputError]]]:
    """Batches; the next one is decoded while the one before is answered."""

    def read(source: Source) -> Picture | InputError:
        from trainkit.inference import images

        try:
            if source.path is None:
                return images.Picture(images.from_bytes(stdin(), taken, name=source.name), ())
            return images.from_file(source.path, taken)
        except InputError as error:
            return error

    remaining = iter(given)
    with ThreadPoolExecutor() as pool:

        def submit() -> list[tuple[Source, Future[Picture | InputError]]]:
            return [(source, pool.submit(read, source)) for source in islice(remaining, _AT_ONCE)]

        try:
            batch = submit()
            while batch:
                following = submit()
                yield [(source, future.result()) for source, future in batch]
                batch = following
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _going_on(drawn: Sequence[Path]) -> Iterator[None]:
    """Within: who is interrupted is told why the same command would be refused."""
    try:
        yield
    except Interrupted as stopped:
        if drawn:
            stopped.hint = f"{counted(len(drawn), 'image')} explained. To start again: another folder, -o DIR"
        raise


def _rows(source: Source, stdin: Callable[[], bytes]) -> list[Row]:
    from trainkit.inference import csv_rows

    content = stdin() if source.path is None else source.path.read_bytes()
    return csv_rows.read(content, name=source.name)


def _because(predictor: Predictor, taken: Table, row: Row) -> dict[str, float]:
    from trainkit.inference import explanation

    inputs = {column.name: row[column.name] for column in taken.columns}
    return explanation.contributions(inputs, lambda rows: predictor.answers(rows).values)


def _hint(error: InputError, row: Row, taken: Table, ignored: Sequence[str]) -> str:
    if "which the model does not take" not in error.message:
        return error.hint
    known = {*ignored, *(column.name for column in taken.columns)}
    options = " ".join(f"--keep {shlex.quote(name)}" for name in row if name not in known)
    return f"Leave it out, or have it printed beside the answers: {options}"


def _unseen(rows: Sequence[Row], taken: Table, ignored: Sequence[str], file: str) -> Iterator[str]:
    from trainkit.inference import cells

    found = list(cells.unseen(cells.read(rows, taken, ignored=ignored), taken))
    if found:
        named = ", ".join(f"{each.column} {each.value!r} in row {each.row}" for each in found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        yield f"{file} has categories that training has not seen: {named}{more}."
