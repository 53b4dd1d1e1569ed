"""Bodies of requests in memory: of a limited length each, and limited all together.

MLflow reads a body whole, and several times over, before it looks at it. Artifacts do not come this way.
"""

from __future__ import annotations

from mlflow_server.asgi import Headers, Message, Receive, Send, with_header

# Of one body. MLflow's own limits are 10 MiB for a file in a body (upload-artifact) and 1 MB for a batch of
# metrics; nothing else that a training logs comes near.
LONGEST = 10 * 1024 * 1024
# Of all bodies at a time: a small dyno has 512 MB, of which MLflow takes 200.
ALL_TOGETHER = 4 * LONGEST
CLOSE = (b"connection", b"close")


class BodyTooLarge(Exception):
    """The body is longer than any that is read."""


class TooManyBodies(Exception):
    """There is no room for it just now."""


class ClientDisconnected(Exception):
    """The client went away before it had sent all."""


class Bodies:
    """The request bodies that are in memory."""

    def __init__(self) -> None:
        self._held = 0

    async def read(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body, which counts until `release`.

        Raises `BodyTooLarge`, `TooManyBodies` and `ClientDisconnected`.
        """
        if _length(headers) > LONGEST:
            raise BodyTooLarge
        body = bytearray()
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnected
                piece: bytes = message.get("body", b"")
                if len(body) + len(piece) > LONGEST:
                    raise BodyTooLarge
                if self._held + len(piece) > ALL_TOGETHER:
                    raise TooManyBodies
                self._held += len(piece)
                body += piece
                if not message.get("more_body"):
                    return bytes(body)
        except BaseException:
            self._held -= len(body)
            raise

    def release(self, body: bytes) -> None:
        """The body was dealt with."""
        self._held -= len(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body, and then waits for the end of the connection as the real one does.

    What the client sends besides is dropped.
    """
    is_sent = False

    async def again() -> Message:
        nonlocal is_sent
        if not is_sent:
            is_sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        while (message := await receive())["type"] != "http.disconnect":
            pass
        return message

    return again


def closing(headers: Headers, send: Send) -> Send:
    """A `send` whose answer ends the connection if a long body is still to come, or one of unknown length.

    uvicorn would take in and drop the rest, whatever comes. It may do so with a short one: to hang up on its
    sender could lose the answer.
    """
    is_long = b"transfer-encoding" in headers or _length(headers) > LONGEST
    return with_header(send, CLOSE) if is_long else send


def _length(headers: Headers) -> int:
    value = headers.get(b"content-length", b"")
    return int(value) if value.isdigit() else 0
