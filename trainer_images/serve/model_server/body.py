"""The body of a request, received within the limits of size, time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from model_server.limits import Limits
from model_server.refusals import Refused, busy, invalid

_CLOSE = {"Connection": "close"}  # else the rest of the body would still be received


class Bodies:
    """All that are held at the moment."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.bytes = 0

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[bytes]:
        """Within: the whole body. It counts until this is left. Raises `Refused`."""
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > self._limits.body:
            raise self._too_large()
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(self._limits.body_s):
                    async for chunk in request.stream():
                        body += chunk
                        self.bytes += len(chunk)
                        self._check(len(body))
            except TimeoutError:
                raise Refused(
                    HTTPStatus.REQUEST_TIMEOUT,
                    f"The body did not arrive within {self._limits.body_s:g} s.",
                    "Send less, or over a faster connection.",
                    _CLOSE,
                ) from None
            except ClientDisconnect:
                raise invalid("The body ended too early.", "Send it again.") from None
            yield bytes(body)
        finally:
            self.bytes -= len(body)

    def _check(self, size: int) -> None:
        if size > self._limits.body:
            raise self._too_large()
        if self.bytes > self._limits.bodies and size > self._limits.small:
            raise busy("Too many large requests are being received.", _CLOSE)

    def _too_large(self) -> Refused:
        return Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The body is larger than {self._limits.body // 1024**2} MB.",
            "Send less in one request.",
            _CLOSE,
        )
