"""`POST /predict`: an image, a form with images, or rows as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import cast

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from trainkit.inference.cells import Row

from model_server.asking import Asking
from model_server.refusals import Refused, invalid
from model_server.responses import Json, Prediction, predictions
from model_server.served import Served


class _InMemory(MultiPartParser):
    """Nothing is written to a disk, which the server need not have."""

    spool_max_size = 2**40


@dataclass(frozen=True)
class Predict:
    """The answers with classes and confidences."""

    asking: Asking

    def routes(self) -> list[Route]:
        """Where it is."""
        return [Route("/predict", self.post, methods=["POST"])]

    async def post(self, request: Request) -> Response:
        """The predictions in the order of the inputs."""
        served = self.asking.served
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        async with self.asking.bodies.received(request) as body:
            if kind == "multipart/form-data":
                answered = await self._form(served, request.headers, body)
            elif kind == "application/json":
                answered = await self._rows(served, body)
            elif kind.startswith("image/") or kind == "application/octet-stream":
                answered = await self._image(served, body)
            else:
                raise self._unknown(kind)
        return Json(
            {"model": {"name": served.name, "version": served.predictor.version}, "predictions": answered}
        )

    async def _image(self, served: Served, body: bytes) -> list[Prediction]:
        image = await served.decoded(body, "The image")
        return predictions(served.predictor.description, await self.asking.answers(served, [image], [body]))

    async def _form(self, served: Served, headers: Headers, body: bytes) -> list[Prediction]:
        _ = served.images  # refused before the files are read
        files = await _files(headers, body, served.limits.images)
        images = await asyncio.gather(*(served.decoded(content, name) for name, content in files))
        answered = await self.asking.answers(served, images, [content for _, content in files])
        answers = predictions(served.predictor.description, answered)
        return [{"file": name, **answer} for (name, _), answer in zip(files, answers, strict=True)]

    async def _rows(self, served: Served, body: bytes) -> list[Prediction]:
        _ = served.table
        rows = _rows(await served.parsed(body))
        return predictions(served.predictor.description, await self.asking.answers(served, rows))

    def _unknown(self, kind: str) -> Refused:
        sent = f"The content type {kind}" if kind else "A body without a content type"
        return invalid(
            f"{sent} is not taken.",
            "Send an image as image/jpeg, a form with files, or rows as application/json.",
        )


async def _files(headers: Headers, body: bytes, most: int) -> list[tuple[str, bytes]]:
    async def stream() -> AsyncIterator[bytes]:
        yield body

    parser = _InMemory(headers, stream(), max_files=most, max_fields=most)  # type: ignore[arg-type]
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        reason = error.message if isinstance(error, MultiPartException) else "it has no boundary"
        raise invalid(f"The form cannot be read: {reason}", "Send it as `curl --form image=@FILE`.") from None
    try:
        uploads = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not uploads:
            raise invalid("The form has no file.", "Send it as `curl --form image=@FILE`.")
        return [(upload.filename or f"Image {n}", await upload.read()) for n, upload in enumerate(uploads, 1)]
    finally:
        await form.close()


def _rows(given: object) -> Sequence[Row]:
    """`[{…}, …]`, the same as `{"rows": […]}`, or one row."""
    rows = given
    if isinstance(given, dict):
        rows = given["rows"] if given.keys() == {"rows"} and isinstance(given["rows"], list) else [given]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise invalid("The JSON has no rows.", 'Send {"rows": [{COLUMN: CELL, …}]}.')
    return cast(Sequence[Row], rows)
