"""The words of ASGI, and answers of our own in MLflow's form."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]  # Any: ASGI's own definition of a scope and of a message
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = dict[bytes, bytes]
Header = tuple[bytes, bytes]


async def answer(send: Send, status: int, text: str, *headers: Header) -> None:
    """Answer in plain text."""
    await _answer(send, status, text.encode(), (b"content-type", b"text/plain; charset=utf-8"), *headers)


async def answer_json(send: Send, payload: object) -> None:
    """Answer 200 in JSON."""
    body = json.dumps(payload).encode()
    await _answer(send, 200, body, (b"content-type", b"application/json"))


async def refuse(send: Send, status: int, code: str, text: str, *headers: Header) -> None:
    """Answer as MLflow's API does, whose clients show the text and know the code."""
    body = json.dumps({"error_code": code, "message": text}).encode()
    await _answer(send, status, body, (b"content-type", b"application/json"), *headers)


async def _answer(send: Send, status: int, body: bytes, *headers: Header) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def with_header(send: Send, header: Header) -> Send:
    """A `send` that adds the header to every answer."""

    async def send_named(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), header]
        await send(message)

    return send_named
