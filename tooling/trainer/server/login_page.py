"""A page that takes a browser to the tracking server, logged in.

A browser is handed an address as an argument, which everybody on the machine can read. This page is a file
that its owner alone can read, and holds the address with user and password; the server's /login leads on to
an address without them, because browsers let no page ask for data whose address holds a password.
"""

from __future__ import annotations

import html
import os
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from trainer.errors import TrackingError
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server
from trainer.workspace.settings import Workspace

_EXPERIMENTS = "/experiments?workflowType=machine_learning"
_REMOVED_AFTER_S = 30


def experiments(server: Server) -> str:
    """Where the server's runs are listed."""
    return f"{server.uri}/#{_EXPERIMENTS}"


def write(workspace: Workspace, server: Server, address: str) -> Path | None:
    """A page that leads to an address of the server's UI, removed after half a minute.

    None where the server cannot be entered that way.
    """
    if not (server.username and server.password) or not _has_login(server):
        return None
    parts = urlsplit(server.uri)
    account = f"{quote(server.username, safe='')}:{quote(server.password, safe='')}"
    login = urlunsplit(
        parts._replace(
            netloc=f"{account}@{parts.netloc}",
            path=f"{parts.path}/login",
            fragment=address.partition("#")[2],
        )
    )
    workspace.state.mkdir(parents=True, exist_ok=True)
    descriptor, page = tempfile.mkstemp(prefix="login-", suffix=".html", dir=workspace.state)  # mode 600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={html.escape(login)}">\n')
    subprocess.Popen(
        ["sh", "-c", f'sleep {_REMOVED_AFTER_S}; rm -f "$1"', "sh", page],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    return Path(page)


def _has_login(server: Server) -> bool:
    try:
        return Client(server).send("GET", "/login", ok=(302,)).status_code == 302
    except TrackingError:
        return False
