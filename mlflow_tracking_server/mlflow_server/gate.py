"""What every request passes before MLflow sees it: the right name, page and password, HTTPS, a route that is
offered, and a body of a length that can be read.

MLflow checks the password itself, but only after it has read the whole body into memory, and for some routes
not at all. Here nothing is open that is not named as such. The workspace's own server, a process without
containers, has the same gate.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import anyio.to_thread

from mlflow_server import locations, routes, uploads
from mlflow_server.addresses import Addresses
from mlflow_server.asgi import App, Headers, Receive, Scope, Send, answer, answer_json, refuse, with_header
from mlflow_server.bodies import (
    LONGEST,
    Bodies,
    BodyTooLarge,
    ClientDisconnected,
    TooManyBodies,
    closing,
    replay,
)
from mlflow_server.rate_limiter import RateLimiter

HEALTH = "/health"
LOGIN = "/login"
STATIC = "/static-files/"
GATEWAY = ("GET", "/ajax-api/2.0/mlflow/gateway-proxy")
NO_GATEWAY: dict[str, list[str]] = {"endpoints": []}  # as MLflow answers that has none
OPEN_METHODS = ("GET", "HEAD")  # of what is open without a password
CHECKS_AT_ONCE = 2  # each takes 32 MB
HSTS = (b"strict-transport-security", b"max-age=31536000")
OWN_PAGES = (b"cross-origin-resource-policy", b"same-origin")
BASIC = (b"www-authenticate", b'Basic realm="mlflow", charset="UTF-8"')

IsRight: TypeAlias = Callable[[str, str], bool]
"""Whether an account of that name has that password."""


class Gate:
    """Lets through to `app` what may pass, and at most `requests_at_once` of its blocking calls."""

    def __init__(self, app: App, addresses: Addresses, requests_at_once: int, is_right: IsRight) -> None:
        self._app = app
        self._addresses = addresses
        self._requests_at_once = requests_at_once
        self._is_right = is_right
        self._checks: anyio.CapacityLimiter | None = None
        self._rate_limiter = RateLimiter()
        self._bodies = Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI 3 says."""
        if scope["type"] == "lifespan":
            self._limit_threads()
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, with_header(send, OWN_PAGES))
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        to_anybody = closing(headers, send)
        if scope["path"] == HEALTH:  # asked by platforms from inside, under any name and without HTTPS
            await self._serve_open(scope, receive, to_anybody)
        elif not self._is_called(headers):
            await answer(to_anybody, 403, "This server does not answer to that name. See ALLOWED_HOSTS.")
        elif not self._addresses.behind_router:
            await self._serve_called(scope, headers, receive, send)
        elif _is_secure(headers):
            scope["scheme"] = "https"
            await self._serve_called(scope, headers, receive, with_header(send, HSTS))
        else:
            await _to_https(scope, headers, to_anybody)

    async def _serve_called(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        to_anybody = closing(headers, send)
        if not self._is_own_page(scope["method"], headers):
            text = "Pages of other origins may not use this server. See ALLOWED_HOSTS."
            await answer(to_anybody, 403, text)
        elif scope["path"].startswith(STATIC):
            await self._serve_open(scope, receive, to_anybody)
        elif not await self._is_let_in(headers, to_anybody):
            pass
        elif scope["path"] == LOGIN:
            await _to_start(self._addresses.behind_router, headers, send)
        else:
            await self._pass_on(scope, receive, send)

    async def _serve_open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What anybody may ask for: MLflow would read the whole body into memory, so it is given none."""
        if scope["method"] in OPEN_METHODS:
            await self._app(scope, replay(b"", receive), send)
        else:
            allow = (b"allow", ", ".join(OPEN_METHODS).encode())
            await answer(send, 405, "Without a password, this can only be read.", allow)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        route = routes.find(method, path)
        if (method, path) == GATEWAY:  # the page asks by itself, and shows a refusal as an error
            await answer_json(send, NO_GATEWAY)
        elif route is None:
            await refuse(send, 404, "ENDPOINT_NOT_FOUND", f"This server does not offer {method} {path}.")
        elif route.check == "upload":
            await uploads.pass_on(self._app, scope, receive, send)
        elif any(name == b"content-encoding" and value != b"identity" for name, value in scope["headers"]):
            # What it comes to would be known only when it is in memory.
            await refuse(send, 415, "INVALID_PARAMETER_VALUE", "Compressed bodies are not read.")
        else:
            await self._pass_body_on(route.check, scope, receive, send)

    async def _pass_body_on(self, check: routes.Check, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._bodies.read(dict(scope["headers"]), receive)
        except BodyTooLarge:
            text = f"The body of this request is longer than {LONGEST >> 20} MiB. Log files as artifacts."
            await refuse(send, 413, "INVALID_PARAMETER_VALUE", text)
            return
        except TooManyBodies:
            wait = (b"retry-after", b"1")
            await refuse(send, 503, "TEMPORARILY_UNAVAILABLE", "Too many long requests at a time.", wait)
            return
        except ClientDisconnected:
            return
        try:
            reason = None
            if check:
                reason = await anyio.to_thread.run_sync(locations.refusal, check, body, limiter=self._checks)
            if reason:
                await refuse(send, 400, "INVALID_PARAMETER_VALUE", reason)
            else:
                await self._app(scope, replay(body, receive), send)
        finally:
            self._bodies.release(body)

    def _is_called(self, headers: Headers) -> bool:
        from mlflow.server.security_utils import is_allowed_host_header

        host = headers.get(b"host", b"").decode("latin-1")
        return bool(is_allowed_host_header(list(self._addresses.hosts), host))

    def _is_own_page(self, method: str, headers: Headers) -> bool:
        # MLflow lets pages on the visitor's own machine pass, whose browser may know the password.
        origin = headers.get(b"origin")
        if origin is None:  # no page, or a browser that says only this much
            a_link = method == "GET" and headers.get(b"sec-fetch-mode") == b"navigate"
            return a_link or headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin")
        own = set(self._addresses.origins)
        if not self._addresses.behind_router:
            own.add(f"http://{headers.get(b'host', b'').decode('latin-1')}")
        return origin.decode("latin-1") in own

    async def _is_let_in(self, headers: Headers, send: Send) -> bool:
        """Whether the password is right; else that is answered."""
        credentials = _credentials(headers.get(b"authorization", b""))
        if credentials is not None:
            if wait := self._rate_limiter.wait_s(*credentials):
                text = f"Too many wrong passwords. Try again in {wait} s."
                await answer(send, 429, text, (b"retry-after", str(wait).encode()))
                return False
            right = False
            try:
                right = await anyio.to_thread.run_sync(self._is_right, *credentials, limiter=self._checks)
            finally:  # a database that is away, too
                self._rate_limiter.record(*credentials, right=right)
            if right:
                return True
        await answer(send, 401, "User name or password is missing or wrong.", BASIC)
        return False

    def _limit_threads(self) -> None:
        # MLflow's own routes share anyio's limiter, artifacts on their way to a bucket asyncio's executor.
        anyio.to_thread.current_default_thread_limiter().total_tokens = self._requests_at_once
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(self._requests_at_once))
        self._checks = anyio.CapacityLimiter(CHECKS_AT_ONCE)


def _credentials(header: bytes) -> tuple[str, str] | None:
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


def _is_secure(headers: Headers) -> bool:
    protocols = headers.get(b"x-forwarded-proto", b"").split(b",")
    return all(protocol.strip().lower() == b"https" for protocol in protocols)


async def _to_https(scope: Scope, headers: Headers, send: Send) -> None:
    if scope["method"] not in ("GET", "HEAD"):
        await answer(send, 403, "This server is reached by https:// alone.")
        return
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    location = b"https://" + headers[b"host"] + scope["raw_path"] + query
    await answer(send, 301, "This server is reached by https:// alone.", (b"location", location))


async def _to_start(https: bool, headers: Headers, send: Send) -> None:
    """From an address with user and password in it to one without, whose pages may ask for data.

    Browsers forbid that to a page whose address holds a password; they remember the password all the same.
    """
    location = (b"https://" if https else b"http://") + headers[b"host"] + b"/"
    await answer(send, 302, "", (b"location", location))
