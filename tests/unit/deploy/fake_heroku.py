"""What the tests put on PATH as `heroku`: the few commands, with the requests that the real one makes.

tests/e2e/test_deploy_heroku.py does the same with the real one.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

MARGIN = " \u203a   "


def call(method: str, path: str, body: object = None) -> Any:
    host, _, port = os.environ["HEROKU_HOST"].removeprefix("http://").partition(":")
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {len(content)}\r\n"
        f"Authorization: Bearer {os.environ['FAKE_TOKEN']}\r\n\r\n"
    )
    # http.client takes longer to import than all the rest does.
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + content)
        with connection.makefile("rb") as stream:
            status, _, answer = stream.read().partition(b"\r\n\r\n")
    payload = json.loads(answer)
    if int(status.split()[1]) >= 400:
        fail(f"{MARGIN}Error: {payload['message']}\n{MARGIN}\n{MARGIN}Error ID: {payload['id']}")
    return payload


def fail(text: str) -> NoReturn:
    sys.exit(text + "\n")


def token() -> None:
    if not os.environ["FAKE_TOKEN"]:
        fail(f"{MARGIN}Error: not logged in")
    print(f"{MARGIN}Warning: token will expire tomorrow", file=sys.stderr)
    print(os.environ["FAKE_TOKEN"])


def create(name: str, *arguments: str) -> None:
    body = {"name": name}
    for option in ("stack", "region", "team"):
        if f"--{option}" in arguments:
            body[option] = arguments[arguments.index(f"--{option}") + 1]
    call("POST", "/teams/apps" if "team" in body else "/apps", body)
    print(f"Creating {name}... done", file=sys.stderr)


def set_stack(stack: str, _: str, app: str) -> None:
    call("PATCH", f"/apps/{app}", {"build_stack": stack})


def add(plan: str, _: str, app: str, *__: str) -> None:
    call("POST", f"/apps/{app}/addons", {"plan": {"name": plan}})
    print(f"DATABASE_URL is {os.environ.get('FAKE_LEAK', '')}")


def wait(_: str, app: str) -> None:
    for addon in call("GET", f"/apps/{app}/addons"):
        while addon["state"] == "provisioning":
            addon = call("GET", f"/apps/{app}/addons/{addon['name']}")


def scale(what: str, _: str, app: str) -> None:
    kind, _, quantity = what.partition("=")
    call("PATCH", f"/apps/{app}/formation", {"updates": [{"type": kind, "quantity": quantity}]})


def release(kind: str, _: str, app: str) -> None:
    call("PATCH", f"/apps/{app}/formation", {"updates": [{"type": kind, "docker_image": "sha256:1"}]})


COMMANDS: dict[str, Callable[..., None]] = {
    "auth:token": token,
    "apps:create": create,
    "stack:set": set_stack,
    "addons:create": add,
    "addons:wait": wait,
    "ps:scale": scale,
    "container:release": release,
}


if __name__ == "__main__":
    with open(os.environ["FAKE_LOG"], "a") as log:  # noqa: PTH123 (pathlib takes longer)
        log.write(" ".join(sys.argv[1:]) + "\n")
    COMMANDS[sys.argv[1]](*sys.argv[2:])
