"""The project's code as one archive: what the container gets is what the run records."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit, urlunsplit

from trainer import git
from trainer.errors import InvalidInput

# What never travels, in a folder that git does not look after.
_LEFT_OUT = {".git", ".venv", ".trainer", "mlruns", "__pycache__"}
_NEVER = {"secrets.env"}


@dataclass(frozen=True)
class Commit:
    """Where the code stands in git: the commit, whether files differ from it, the branch, and `origin`."""

    id: str
    dirty: bool
    branch: str
    remote: str = ""
    """Without a user name or password, and empty where there is none."""


def files(folder: Path) -> list[Path]:
    """The project's files, relative to `folder`: tracked and untracked ones, ignored ones left out."""
    # Nothing listed: the repository around it ignores the whole folder.
    listed = git.files(folder) or _walk(folder)
    root, inside = os.path.realpath(folder), dict[str, bool]()
    kept: set[str] = set()
    for name in listed:
        parent, _, last = name.rpartition("/")
        if parent not in inside:
            inside[parent] = os.path.realpath(f"{root}/{parent}") == f"{root}/{parent}".rstrip("/")
        # A tracked file that was deleted is still listed; a submodule is listed as a folder. And git's index
        # can name what is elsewhere: above the folder, or behind a link that took a folder's place.
        if inside[parent] and last not in _NEVER and _is_content(f"{root}/{name}"):
            kept.add(name)
    return [Path(name) for name in sorted(kept, key=lambda name: name.split("/"))]


def unpacked(folder: Path) -> list[Path]:
    """Every file below `folder`, relative to it and in the order of `files`."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if _is_content(path))
    return sorted(paths)


def _is_content(path: str | Path) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _walk(folder: Path) -> Iterator[str]:
    for current, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        links = [name for name in folders if (Path(current) / name).is_symlink()]
        yield from ((Path(current) / name).relative_to(folder).as_posix() for name in names + links)


def pack(
    folder: Path, archive: Path, *, uid: int = 0, gid: int = 0, paths: Sequence[Path] | None = None
) -> str:
    """Write the project's files to `archive` (tar.gz, under `code/`) and return their digest.

    The digest (sha256, hex) is of names, modes and contents alone, so the same code has the same digest
    on every machine and at every time. `uid` and `gid` own the files where the archive is unpacked.
    `paths` are what `files` found, or `unpacked` in a folder that was unpacked from such an archive.
    """
    digest = hashlib.sha256()
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        _add_folder(tar, Path("code"), uid, gid)
        folders = {Path("code")}
        for path in files(folder) if paths is None else paths:
            for parent in reversed(Path("code", path).parents):
                if parent != Path() and parent not in folders:
                    _add_folder(tar, parent, uid, gid)
                    folders.add(parent)
            entry = tar.gettarinfo(folder / path, f"code/{path.as_posix()}")
            shared = entry.issym() and is_shared(folder, path)
            if shared or entry.islnk():  # another name of a file is packed as a file of its own
                entry.type, entry.linkname = tarfile.REGTYPE, ""
                entry.size = (folder / path).stat().st_size
                entry.mode = (folder / path).stat().st_mode
            executable = bool(entry.mode & 0o100)
            _owned(entry, uid, gid, 0o755 if executable else 0o644, entry.type)
            digest.update(
                f"\0{path.as_posix()}\0{executable}\0{entry.linkname}\0".encode(errors="surrogateescape")
            )
            if entry.isreg():
                with (folder / path).open("rb") as content:
                    packed = _HashingReader(content)
                    tar.addfile(entry, packed)
                digest.update(packed.sha256.digest())
            else:
                tar.addfile(entry)
    return digest.hexdigest()


def _add_folder(tar: tarfile.TarFile, name: Path, uid: int, gid: int) -> None:
    """A folder that the archive does not name would be root's where it is unpacked."""
    tar.addfile(_owned(tarfile.TarInfo(name.as_posix()), uid, gid, 0o755, tarfile.DIRTYPE))


class _HashingReader:
    """A file that is read once, for the archive and for the digest: so they are of the same bytes."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        piece = self._content.read(size)
        self.sha256.update(piece)
        return piece


def is_shared(folder: Path, path: Path) -> bool:
    """Whether a link leads to a file of another project, which then travels under the link's name.

    Raises `InvalidInput` where it leads elsewhere outside of the project, or to what is never to travel.
    """
    target = (folder / path).readlink()
    end = (folder / path).resolve()
    if not target.is_absolute() and end.is_relative_to(folder.resolve()):
        return False
    in_project = end.is_file() and any((parent / "MLproject").is_file() for parent in end.parents)
    ignored = in_project and git.is_ignored(end)
    if target.is_absolute() or not in_project or ignored or end.name in _NEVER:
        raise InvalidInput(
            f"{folder / path} is a link to {target}, outside of the project: it leads nowhere in a run.",
            "Put a copy of what it points to in its place. Of a git URL, clone it first and run the clone.",
        )
    return True


def _owned(entry: tarfile.TarInfo, uid: int, gid: int, mode: int, kind: bytes) -> tarfile.TarInfo:
    entry.uid, entry.gid, entry.uname, entry.gname = uid, gid, "", ""
    entry.mode, entry.mtime, entry.type = mode, 0, kind
    return entry


def commit(folder: Path) -> Commit | None:
    """The commit that the folder's code comes from, or None outside of git or before a first commit."""
    status = git.status(folder)
    if status is None:
        return None
    lines = status.splitlines()
    facts = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
    if facts["branch.oid"] == "(initial)":
        return None
    remote = git.ask(folder, "config", "--get", "remote.origin.url") or ""
    return Commit(
        id=facts["branch.oid"],
        dirty=any(not line.startswith("# ") for line in lines),
        branch="HEAD" if facts["branch.head"] == "(detached)" else facts["branch.head"],
        remote=without_credentials(remote.strip()),
    )


def without_credentials(remote: str) -> str:
    """An address of a git repository without the user name and password that a URL may hold."""
    parts = urlsplit(remote)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.netloc else remote
