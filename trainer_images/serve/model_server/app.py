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
from trainkit.inference.predictor import Predictor

from model_server.asking import Asking
from model_server.body import Bodies
from model_server.door import Door
from model_server.limits import Limits
from model_server.metrics import CONTENT_TYPE, Metrics
from model_server.refusals import Refused
from model_server.responses import refusal
from model_server.routes.mlflow import Mlflow
from model_server.routes.predict import Predict
from model_server.routes.v2 import V2
from model_server.served import Served


def make(
    name: str,
    predictor: Predictor,
    *,
    token: str | None = None,
    hosts: tuple[str, ...] = (),
    limits: Limits | None = None,
) -> ASGIApp:
    """The application, for any ASGI server; the model has answered once."""
    limits = limits or Limits()
    metrics = Metrics.of(name, predictor.version, lambda: served.batcher.waiting)
    served = Served.of(name, predictor, limits, metrics.batches.observe)
    served.warm_up()
    asking = Asking(served, Bodies(limits), metrics)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        work = asyncio.create_task(served.batcher.work())
        yield
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work

    async def figures(_: Request) -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    routes = [
        *Predict(asking).routes(), *Mlflow(asking).routes(), *V2(asking).routes(), Route("/metrics", figures)
    ]  # fmt: skip
    paths = [route.path.replace("{name}", name) for route in routes if "{version}" not in route.path]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Door, metrics=metrics, token=token, hosts=hosts, routes=paths)],
        exception_handlers=dict.fromkeys((Refused, InputError, HTTPException, Exception), _answer),
        lifespan=lifespan,
    )


async def _answer(request: Request, error: Exception) -> Response:
    """What is wrong; of a mistake of the server's own, nothing but that it is one."""
    if isinstance(error, Refused):
        return refusal(error.status, error.message, error.hint, error.headers)
    if isinstance(error, InputError):
        return refusal(HTTPStatus.BAD_REQUEST, error.message, error.hint)
    if isinstance(error, HTTPException):
        message = f"{request.method} {request.url.path[:200]}: {error.detail}."
        hint = "What there is: /predict, /invocations, /v2, /health, /metrics."
        return refusal(error.status_code, message, hint, error.headers)
    message = "The server failed at this request."
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, message, "Its log says why.")
