"""The routes around a model."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from trainkit.errors import InputError
from trainkit.inference.cells import WrongCell
from trainkit.inference.predictor import Model
from trainkit.inference.serving_file import Entry

from model_server.asking import Asking
from model_server.body import Bodies
from model_server.door import Door
from model_server.limits import Limits
from model_server.metrics import CONTENT_TYPE, Metrics
from model_server.prediction_log.figures import LogFigures
from model_server.prediction_log.log import NoLog, PredictionLog
from model_server.refusals import Refused
from model_server.responses import refusal
from model_server.routes import page
from model_server.routes.explain import Explain
from model_server.routes.mlflow import Mlflow
from model_server.routes.page import Page
from model_server.routes.predict import Predict
from model_server.routes.v2 import V2
from model_server.served import Served
from model_server.watching import Watch, Watching


def make(
    name: str,
    predictor: Model,
    entry: Entry | None = None,
    *,
    token: str | None = None,
    hosts: tuple[str, ...] = (),
    limits: Limits | None = None,
    watch: Watch | None = None,
    log: PredictionLog | None = None,
) -> ASGIApp:
    """The application, for any ASGI server; the model has answered once.

    `entry` is what the serving file says of the model. With `watch` another one may take its place. `log`
    gets what was asked and answered.
    """
    limits = limits or Limits()
    metrics = Metrics.of(lambda: asking.served.batcher.waiting)
    entry = entry or Entry(file="model.onnx", label=name)
    served = Served.of(name, predictor, entry, limits, metrics.batches.observe)
    served.warm_up()
    log = log or NoLog()
    metrics.registry.register(LogFigures(log))
    asking = Asking(served, Bodies(limits), metrics, log)
    asking.serve(served)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        log.start()
        tasks = [asyncio.create_task(Watching(asking, watch).work())] if watch else []
        yield
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        asking.overshadow(None)
        await asyncio.to_thread(log.stop)

    async def figures(_: Request) -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    routes = [
        *Predict(asking).routes(), *Explain(asking).routes(), *Page(asking).routes(),
        *Mlflow(asking).routes(), *V2(asking).routes(), Route("/metrics", figures),
    ]  # fmt: skip
    files = page.files()
    counted = [route.path.replace("{name}", name) for route in routes if "{version}" not in route.path]
    public = [route.path for route in files]
    door = Middleware(
        Door, metrics=metrics, token=token, hosts=hosts, routes=[*counted, page.ADDRESS], public=public
    )
    return Starlette(
        routes=[*routes, *files],
        middleware=[door],
        exception_handlers=dict.fromkeys((Refused, InputError, HTTPException, Exception), _answer),
        lifespan=lifespan,
    )


async def _answer(request: Request, error: Exception) -> Response:
    """What is wrong; of a mistake of the server's own, nothing but that it is one."""
    if isinstance(error, Refused):
        return refusal(error.status, error.message, error.hint, error.headers)
    if isinstance(error, WrongCell):
        where = {"row": error.row, "column": error.column}
        return refusal(HTTPStatus.BAD_REQUEST, error.message, error.hint, where=where)
    if isinstance(error, InputError):
        return refusal(HTTPStatus.BAD_REQUEST, error.message, error.hint)
    if isinstance(error, HTTPException):
        message = f"{request.method} {request.url.path[:200]}: {error.detail}."
        hint = "What there is: /, /predict, /explain, /invocations, /v2, /health, /metrics."
        return refusal(error.status_code, message, hint, error.headers)
    message = "The server failed at this request."
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, message, "Its log says why.")
