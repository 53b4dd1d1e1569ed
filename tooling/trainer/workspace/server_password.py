"""The password of the workspace's own server, where that is a process.

It is for this workspace's commands and runs alone. It is made when the server is started for the first time,
and lies in a file that its owner alone can read. The server reads it there too: it is in no list of arguments
and in no environment.
"""

from __future__ import annotations

import contextlib
import os
import secrets as random
from pathlib import Path

from trainer.workspace.settings import Workspace

USERNAME = "trainer"


def file(workspace: Workspace) -> Path:
    """Where it is kept."""
    return workspace.state / "server" / "password"


def known(workspace: Workspace) -> str | None:
    """The password; None if none was made yet."""
    with contextlib.suppress(OSError):
        return file(workspace).read_text().strip() or None
    return None


def make(workspace: Workspace) -> str:
    """The password, which is made if there is none; for one caller at a time."""
    if password := known(workspace):
        return password
    path, password = file(workspace), random.token_urlsafe(32)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    (path.parent / ".gitignore").write_text("*\n")  # where no other one names .trainer/
    unfinished = path.with_name("unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(password + "\n")
    unfinished.replace(path)
    return password
