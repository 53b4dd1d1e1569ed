"""Unpacking tar archives that a stranger may have made.

Python's own `filter="data"` came with 3.11.4; Debian 12 has 3.11.2.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path, PurePosixPath


class UnsafeArchive(tarfile.TarError):
    """The archive has a member that must not be unpacked."""


def unpack(tar: tarfile.TarFile, folder: Path) -> None:
    """Unpack files, folders and symbolic links below `folder`, owned by the caller.

    Raises `UnsafeArchive` for a name or a link that leads out of the folder, and for anything else than a
    file, a folder or a symbolic link (hard links, devices, pipes). What was unpacked by then stays.
    """
    members = tar.getmembers()
    for member in members:
        if not member.issym():
            _extract(tar, member, folder)
    # Links come last, so that no file is written through one.
    links: list[Path] = []
    try:
        for member in filter(tarfile.TarInfo.issym, members):
            link = _link(member, folder)
            links.append(link)
        for link in links:  # where a link leads depends on the others
            _refuse_way_out(link, folder)
    except BaseException:
        for link in links:
            link.unlink()
        raise


def _link(member: tarfile.TarInfo, folder: Path) -> Path:
    _check_name(member)
    link = folder / member.name
    _refuse_way_out(link.parent, folder)
    link.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(link):
        raise UnsafeArchive(f"{member.name} is in it twice")
    link.symlink_to(member.linkname)
    return link


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    _check_name(member)
    if not (member.isreg() or member.isdir()):
        raise UnsafeArchive(f"{member.name} is neither a file, a folder nor a symbolic link")
    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    member.mode &= ~_umask()
    # Newer versions of tarfile ask for a filter; this module is it.
    tar.extraction_filter = lambda entry, _path: entry
    tar.extract(member, folder)


def _check_name(member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise UnsafeArchive(f"{member.name} leads out of it")


def _refuse_way_out(link: Path, folder: Path) -> None:
    if not Path(os.path.realpath(link)).is_relative_to(folder.resolve()):
        raise UnsafeArchive(f"{link.relative_to(folder)} is a link that leads out of it")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
