"""Writing and renaming that happen wholly or not at all, and never replace what is there."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD, _RENAME_NOREPLACE = -100, 1
# What kernels and file systems say that do not know the call or the flag.
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}


def rename(source: Path, target: Path) -> None:
    """Rename; raises `FileExistsError` where the target exists, which `os.rename` replaces if it is empty.

    On Linux the kernel sees to that (`renameat2`, see its manual page). Elsewhere we look first, which
    leaves a moment in which somebody else may make the target.
    """
    error_number = _renameat2(source, target)
    if error_number in _UNSUPPORTED:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        source.rename(target)
    elif error_number:
        raise OSError(error_number, os.strerror(error_number), str(source), None, str(target))


def _renameat2(source: Path, target: Path) -> int:
    """0, or the error number."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if call is None:
        return errno.ENOSYS
    failed = call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE)
    return ctypes.get_errno() if failed else 0


def write(path: Path, content: bytes) -> None:
    """Write a file, in place of an older one; when this returns it is on the disk, whole."""
    unfinished = beside(path)
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_folder(path.parent)


def beside(path: Path) -> Path:
    """The hidden name under which a file is written before it is whole."""
    return path.with_name(f".{path.name}.unfinished")


def sync_folder(folder: Path) -> None:
    """Return when the names in the folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
