"""Who is let in, and what is counted of each request. Outside of all routes."""

from __future__ import annotations

import hmac
import time
from collections.abc import Collection
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_server.metrics import Metrics
from model_server.responses import refusal

# What a platform asks, which has no token.
OPEN = frozenset({"/ping", "/health", "/v2/health/live", "/v2/health/ready"})
_OTHER = "other"


class Door:
    """Asks for the token, or, where there is none, for a name that the server is called by."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        *,
        token: str | None,
        hosts: Collection[str],
        routes: Collection[str],
        public: Collection[str],
    ) -> None:
        """`routes` are the paths that are counted each by itself, `public` those that take no token."""
        self._app, self._metrics = app, metrics
        self._hosts, self._routes, self._public = map(frozenset, (hosts, routes, public))
        self._expected = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or have it answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refused = self._refusal(scope["path"], Headers(scope=scope))
            await (refused or self._app)(scope, receive, counted)
        finally:
            route = scope["path"] if scope["path"] in self._routes else _OTHER
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)

    def _refusal(self, path: str, headers: Headers) -> Response | None:
        if path in OPEN:
            return None
        if self._expected:
            if path in self._public:
                return None
            if hmac.compare_digest(headers.get("authorization", "").encode(), self._expected):
                return None
            return refusal(
                HTTPStatus.UNAUTHORIZED,
                "The request has no token, or another one.",
                "Send the header Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": "Bearer"},
            )
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if not self._hosts or name in self._hosts:
            return None
        return refusal(
            HTTPStatus.FORBIDDEN,
            f"Without a token, the server is not to be called {name[:100]}.",
            f"Call it {sorted(self._hosts)[-1]}, or give it a token.",
        )
