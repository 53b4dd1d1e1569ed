"""What a job that ran on this machine's own file system wrote beside its code."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

_CODE_S = 86400  # no file of the code is newer: its archive says no times


def sizes(code: Path) -> dict[str, int]:
    """The files in the folder that are newer than the code, which is of 1970: path there → bytes."""
    found = {}
    for current, folders, names in os.walk(code):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for path in (Path(current) / name for name in names):
            with contextlib.suppress(OSError):
                seen = path.lstat()
                if stat.S_ISREG(seen.st_mode) and seen.st_mtime > _CODE_S:
                    found[str(path.relative_to(code))] = seen.st_size
    return found
