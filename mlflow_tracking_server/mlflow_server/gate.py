"""What every request passes before MLflow sees it: the right name, HTTPS, and a password.

MLflow checks the password itself, but only after it has read the whole body into memory, and for some routes
not at all. Here nothing is open that is not named as such.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.to_thread

from mlflow_server.addresses import Addresses

Scope = MutableMapping[str, Any]  # Any: ASGI's own definition of a scope and of a message
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = dict[bytes, bytes]

HEALTH = "/health"
LOGIN = "/login"
STATIC = "/static-files/"
CHECKS_AT_ONCE = 2  # each takes 32 MB
HSTS = (b"strict-transport-security", b"max-age=31536000")


class Gate:
    """Lets through to `app` what may pass, and at most `requests_at_once` of its blocking calls."""

    def __init__(self, app: App, addresses: Addresses, requests_at_once: int) -> None:
        self._app = app
        self._addresses = addresses
        self._requests_at_once = requests_at_once
        self._checks: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI 3 says."""
        if scope["type"] == "lifespan":
            self._limit_threads()
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        if scope["path"] == HEALTH:  # asked by platforms from inside, under any name and without HTTPS
            await self._app(scope, receive, send)
        elif not self._is_called(headers):
            await _answer(send, 403, "This server does not answer to that name. See ALLOWED_HOSTS.")
        elif self._addresses.behind_router and not _is_secure(headers):
            await _to_https(scope, headers, send)
        elif self._addresses.behind_router and not self._is_own_page(headers):
            await _answer(send, 403, "Pages of other origins may not use this server. See ALLOWED_HOSTS.")
        elif not scope["path"].startswith(STATIC) and not await self._is_known(headers):
            await _answer(send, 401, "User name or password is missing or wrong.", BASIC)
        elif scope["path"] == LOGIN:
            await _to_start(self._addresses.behind_router, headers, send)
        elif self._addresses.behind_router:
            scope["scheme"] = "https"
            await self._app(scope, receive, _with_header(send, HSTS))
        else:
            await self._app(scope, receive, send)

    def _is_called(self, headers: Headers) -> bool:
        from mlflow.server.security_utils import is_allowed_host_header

        host = headers.get(b"host", b"").decode("latin-1")
        return bool(is_allowed_host_header(list(self._addresses.hosts), host))

    def _is_own_page(self, headers: Headers) -> bool:
        # MLflow lets pages on the visitor's own machine pass, whose browser may know the password.
        origin = headers.get(b"origin")
        return origin is None or origin.decode("latin-1") in self._addresses.origins

    async def _is_known(self, headers: Headers) -> bool:
        found = _credentials(headers.get(b"authorization", b""))
        if found is None:
            return False
        return await anyio.to_thread.run_sync(_authenticate, *found, limiter=self._checks)

    def _limit_threads(self) -> None:
        # MLflow's own routes share anyio's limiter, artifacts on their way to a bucket asyncio's executor.
        anyio.to_thread.current_default_thread_limiter().total_tokens = self._requests_at_once
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(self._requests_at_once))
        self._checks = anyio.CapacityLimiter(CHECKS_AT_ONCE)


BASIC = (b"www-authenticate", b'Basic realm="mlflow", charset="UTF-8"')


def _authenticate(user: str, password: str) -> bool:
    # The very check that MLflow's routes make next: one cache, which MLflow empties with every change.
    from mlflow.server import auth

    return auth._authenticate_cached(user, password) is not None


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
        await _answer(send, 403, "This server is reached by https:// alone.")
        return
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    place = b"https://" + headers[b"host"] + scope["raw_path"] + query
    await _answer(send, 301, "This server is reached by https:// alone.", (b"location", place))


async def _to_start(https: bool, headers: Headers, send: Send) -> None:
    """From an address with user and password in it to one without, whose pages may ask for data.

    Browsers forbid that to a page whose address holds a password; they remember the password all the same.
    """
    place = (b"https://" if https else b"http://") + headers[b"host"] + b"/"
    await _answer(send, 302, "", (b"location", place))


async def _answer(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": status, "headers": [kind, *headers]})
    await send({"type": "http.response.body", "body": text.encode()})


def _with_header(send: Send, header: tuple[bytes, bytes]) -> Send:
    async def send_named(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), header]
        await send(message)

    return send_named
