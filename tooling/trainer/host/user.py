"""Who uses this machine, and what is kept for them."""

from __future__ import annotations

import getpass
import os
from pathlib import Path


def name() -> str:
    """The user's name, or its number where it has none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def state() -> Path:
    """The folder of what trainer keeps for the user, whatever the workspace is. It need not be there."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "trainer"
