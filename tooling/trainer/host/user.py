"""Who uses this machine."""

from __future__ import annotations

import getpass
import os


def name() -> str:
    """The user's name, or its number where it has none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
