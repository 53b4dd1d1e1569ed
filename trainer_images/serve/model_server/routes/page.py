"""`/`: a page on which a person asks the model; `GET /model`: what the page has to know of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from trainkit.inference import example
from trainkit.inference.description import Images, Table

from model_server.asking import Asking
from model_server.responses import Json

ADDRESS = "/"
_FOLDER = Path(__file__).parents[1] / "page"
_INDEX = "index.html"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    # Pictures that are shown before they are sent are blob:, those of an explanation data:.
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}


def files() -> list[Route]:
    """The page and its files. They say nothing of the model, and are answered without a token."""
    found = [path for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES]
    return [Route(ADDRESS if path.name == _INDEX else f"/page/{path.name}", _file(path)) for path in found]


def _file(path: Path) -> Callable[[Request], Awaitable[Response]]:
    content, headers = path.read_bytes(), {**_HEADERS, "Content-Type": _TYPES[path.suffix]}

    async def answer(_: Request) -> Response:
        return Response(content, headers=headers)

    return answer


@dataclass(frozen=True)
class Page:
    """What the page asks for besides answers and explanations."""

    asking: Asking

    def routes(self) -> list[Route]:
        """Where it is."""
        return [Route("/model", self.model)]

    async def model(self, _: Request) -> Response:
        """What the model takes, what its answers mean, where it is from."""
        served = self.asking.served
        said = served.predictor.description
        return Json({
            "name": served.name,
            "version": served.predictor.version,
            "model": served.entry.called,
            "run_id": said.run_id,
            "framework": said.framework,
            "served_by": served.predictor.served_by,
            "task": said.task,
            "target": said.target,
            "classes": said.classes,
            "input": _images(said.input) if isinstance(said.input, Images) else _table(said.input),
            "largest_body": served.limits.body,
        })  # fmt: skip


def _images(taken: Images) -> dict[str, object]:
    return {"kind": taken.kind, "size": taken.size}


def _table(taken: Table) -> dict[str, object]:
    columns = [column.model_dump(mode="json") for column in taken.columns]
    return {"kind": taken.kind, "columns": columns, "example": example.row(taken)}
