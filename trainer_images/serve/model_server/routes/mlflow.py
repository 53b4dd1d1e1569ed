"""What `mlflow models serve` answers: `/invocations`, `/ping`, `/health`, `/version`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from trainkit.inference.cells import Row
from trainkit.inference.description import Description, Images
from trainkit.inference.predictor import Answers

from model_server import pictures
from model_server.asking import Asking
from model_server.refusals import Refused, invalid
from model_server.responses import Json, labels

_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class Records(NamedTuple):
    """Rows without names where `columns` is None: those of the model are meant, in their order."""

    columns: Sequence[str] | None
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Mlflow:
    """MLflow's own protocol, so that its clients need no change."""

    asking: Asking

    def routes(self) -> list[Route]:
        """Where it is."""
        return [
            Route("/invocations", self.invocations, methods=["POST"]),
            Route("/ping", self.ping),
            Route("/health", self.health),
            Route("/version", self.version),
        ]

    async def ping(self, _: Request) -> Response:
        """It is up: with an empty line, as MLflow."""
        return Response("\n")

    async def health(self, _: Request) -> Response:
        """It is up, and which model it has; `degraded` where it was to have another one, and why not."""
        problem = self.asking.problem
        state = {"status": "degraded", "reason": problem} if problem else {"status": "ok"}
        shadow = self.asking.shadow
        beside = {"shadow": shadow.served.entry.called} if shadow else {}
        return Json({**state, **self._model(), **beside, "log": self.asking.log.status})

    async def version(self, _: Request) -> Response:
        """Which model answers: the SHA-256 of its file, what it is called, and the run that it is from."""
        model = self.asking.served.predictor
        described = {"run_id": model.description.run_id, "framework": model.description.framework}
        return Json({**self._model(), **described, "served_by": model.served_by})

    def _model(self) -> dict[str, object]:
        served = self.asking.served
        return {"name": served.name, "version": served.predictor.version, "model": served.entry.called}

    async def invocations(self, request: Request) -> Response:
        """As MLflow: of an image all probabilities, of a row its class or value.

        `"params": {"probabilities": true}`, or false, asks for the one or the other.
        """
        served = self.asking.served
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        async with self.asking.bodies.received(request) as body:
            payload = {"dataframe_split": _of_csv(body)} if kind == "text/csv" else await served.parsed(body)
            if not isinstance(payload, dict):
                raise _no_form()
            wants = _wants_probabilities(payload)
            if isinstance(served.predictor.description.input, Images):
                answers = await self.asking.answers(served, *await pictures.read(served, _images(payload)))
            else:
                columns = [column.name for column in served.table.columns]
                answers = await self.asking.answers(served, _rows(payload, columns))
        description = served.predictor.description
        is_image = isinstance(description.input, Images)
        return Json({"predictions": _predictions(description, answers, is_image if wants is None else wants)})


def _predictions(description: Description, answers: Answers, probabilities: bool) -> Sequence[object]:
    if not description.classes:
        return cast(list[object], answers.values[:, 0].tolist())
    return answers.values.tolist() if probabilities else labels(description, answers)


def _wants_probabilities(payload: Mapping[str, object]) -> bool | None:
    params = payload.get("params") or {}
    wants = params.get("probabilities") if isinstance(params, dict) and len(params) <= 1 else params
    if wants is None and params == {}:
        return None
    if not isinstance(wants, bool):
        raise invalid("The params are not known.", 'The one param is {"probabilities": true}, or false.')
    return wants


def _form(payload: Mapping[str, object]) -> tuple[str, object]:
    given = [form for form in _FORMS if form in payload]
    if len(given) != 1 or set(payload) - {*_FORMS, "params", "signature_name"}:
        raise _no_form()
    return given[0], payload[given[0]]


def _no_form() -> Refused:
    return invalid(
        f"The JSON is to have one of {', '.join(_FORMS)}.", 'Send {"dataframe_records": [{COLUMN: CELL, …}]}.'
    )


def _rows(payload: Mapping[str, object], columns: Sequence[str]) -> list[Row]:
    form, value = _form(payload)
    if form == "dataframe_split":
        split = _split(value)
        return [_row(cells, split.columns or columns, n) for n, cells in enumerate(split.rows, 1)]
    if isinstance(value, dict):  # by column
        lists = {name: cells if isinstance(cells, list) else [cells] for name, cells in value.items()}
        lengths = {len(cells) for cells in lists.values()}
        if len(lengths) > 1:
            raise invalid("The columns have different numbers of cells.", "Give each row a cell in each.")
        return [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
    if not isinstance(value, list):
        raise invalid(f"{form} is no list of rows.", 'Send {"dataframe_records": [{COLUMN: CELL, …}]}.')
    return [row if isinstance(row, dict) else _row(row, columns, n) for n, row in enumerate(value, 1)]


def _row(cells: object, columns: Sequence[str], number: int) -> Row:
    if not isinstance(cells, list) or len(cells) != len(columns):
        count = len(cells) if isinstance(cells, list) else 1
        raise invalid(
            f"Row {number} has {count} cells, not {len(columns)}.", f"They are: {', '.join(columns)}."
        )
    return dict(zip(columns, cells, strict=True))


def _split(value: object) -> Records:
    if isinstance(value, dict) and isinstance(rows := value.get("data"), list):
        columns = value.get("columns")
        if columns is None or (isinstance(columns, list) and all(isinstance(name, str) for name in columns)):
            return Records(columns, rows)
    raise invalid("dataframe_split has no columns and data.", 'Send {"columns": […], "data": [[…], …]}.')


def _images(payload: Mapping[str, object]) -> list[object]:
    """The images: those of an only column, or one each."""
    form, value = _form(payload)
    if form == "dataframe_split":
        value = list(_split(value).rows)
    if isinstance(value, dict) and len(value) == 1:
        [value] = value.values()
    if not isinstance(value, list):
        raise invalid(f"{form} is no list of images.", 'Send {"instances": [BASE64, …]}.')
    return [_only(image) for image in value]


def _only(image: object) -> object:
    if isinstance(image, dict) and len(image) == 1:
        [image] = image.values()
    return image[0] if isinstance(image, list) and len(image) == 1 and isinstance(image[0], str) else image


def _of_csv(body: bytes) -> dict[str, object]:
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise invalid(
            f"The CSV cannot be read: {error}", "Send it in UTF-8, its first line the columns."
        ) from None
    columns, *rows = lines or [[]]
    return {"columns": columns, "data": [row for row in rows if row]}
