"""The two servers, and whose credentials each of them gets: never those of the other one."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from trainer import locks
from trainer.errors import InvalidInput
from trainer.server import container_record, process, selection, start
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server, configured, named
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace

OWN = "own"
# Its store may be elsewhere: a server has a large artifact before it sends the first byte of it.
_PATIENCE_S = (5, 900)


def find(workspace: Workspace, given: str, variables: str | None) -> Client:
    """The server of that address, or the workspace's own for the word `own`, which is started.

    Credentials are in the address; in the variables that begin with `variables`; or the workspace's, if it is
    its server. Raises `InvalidInput` and `TrackingError`.
    """
    return Client(_server(workspace, given, variables), _PATIENCE_S)


def _server(workspace: Workspace, given: str, variables: str | None) -> Server:
    loaded = secrets.load(workspace)
    container = container_record.recorded(workspace)
    if given == OWN:
        chosen = configured(loaded, container, None) if container else None
        return start.revive(workspace, chosen) if chosen else _process(workspace)
    if variables:
        names = [f"{variables}_{kind}" for kind in ("USERNAME", "PASSWORD", "TOKEN")]
        username, password, token = (loaded.get(name) for name in names)
        if not (username or token):
            raise InvalidInput(
                f"Neither {names[0]} nor {names[2]} is set, in the environment or in secrets.env.",
                f"trainer secrets set {names[0]}, and {names[1]}",
            )
        return replace(named(loaded, given), username=username, password=password, token=token)
    chosen = named(loaded, given)
    usual = selection.named(workspace, loaded)
    if usual and usual.uri == chosen.uri and not chosen.username:
        chosen = start.revive(workspace, usual)
    elif process.is_own(workspace, chosen):
        chosen = _process(workspace)
    return chosen


@contextlib.contextmanager
def place(workspace: Workspace) -> Iterator[Path]:
    """Within: an empty folder for what is on its way, and no other call that copies in this workspace.

    Raises `InvalidInput` where there is one.
    """
    lock = locks.acquire(workspace.state / "copy-runs.lock")
    if lock is None:
        raise InvalidInput(
            "Another `trainer server copy-runs` is at work in this workspace.", "Wait until it has ended."
        )
    folder = workspace.state / "copy-runs"
    with lock, contextlib.ExitStack() as made:
        shutil.rmtree(folder, ignore_errors=True)  # of a call that was killed
        made.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder


def _process(workspace: Workspace) -> Server:
    started = process.begin(workspace)
    process.wait(workspace, started)
    return started
