"""Connections that ask for nothing are closed: uvicorn itself waits for headers for ever."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class ImpatientProtocol(HttpToolsProtocol):  # type: ignore[misc]  # uvicorn is not followed
    """Uvicorn's own, which closes a connection whose headers take longer than `headers_s`."""

    headers_s = 10.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """The time for the headers begins."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self.headers_s, transport.close)

    def on_message_begin(self) -> None:
        """The same for the second and each later request of a connection."""
        super().on_message_begin()
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.headers_s, self.transport.close)

    def on_headers_complete(self) -> None:
        """In time."""
        self._in_time()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to be closed."""
        self._in_time()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """What has been asked is answered; who is still asking is not waited for."""
        if self.cycle is not None and self.cycle.more_body:
            self.transport.close()
        else:
            super().shutdown()

    def _in_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
