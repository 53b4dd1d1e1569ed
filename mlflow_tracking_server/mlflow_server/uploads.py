"""Artifacts on their way to the store, as they come, and what it means when there is no space for one."""

from __future__ import annotations

import errno

from mlflow_server.asgi import App, Message, Receive, Scope, Send, refuse

FULL = (errno.ENOSPC, errno.EDQUOT)


async def pass_on(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass an upload on. MLflow answers 500 to any failure of its own; a full disk is told as one."""
    held: list[Message] = []

    async def hold_failure(message: Message) -> None:
        if held or message.get("status") == 500:
            held.append(message)
        else:
            await send(message)

    try:
        await app(scope, receive, hold_failure)
    except OSError as error:  # which is raised behind the answer to it
        if held and error.errno in FULL:
            held.clear()
            await refuse(send, 507, "TEMPORARILY_UNAVAILABLE", "The server's disk is full.")
        else:
            raise
    finally:
        for message in held:
            await send(message)
