"""Data that is named by an address or packed into a zip file, as files and folders on the cache volume."""

import hashlib
import json
import shutil
import stat
import time
import unicodedata
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TypedDict
from urllib.parse import unquote, urlsplit

import requests

from trainkit import paths
from trainkit.errors import InputError

# What a zip file may unpack to: far above any dataset for one machine, far below what a zip bomb claims.
_MOST_BYTES = 200 * 10**9
_MOST_FILES = 2_000_000
_TIMEOUT_S = (10, 60)
_STALE_S = 24 * 3600
# What a server says about a file, and how to ask whether it is so still.
_CONDITIONS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}


class _Noted(TypedDict):
    """The last download of an address: its file, and the headers that ask for a newer one."""

    file: str
    conditions: dict[str, str]


def find(data: str, cache: Path) -> Path:
    """The file or folder that `data` says: a name in data/, an http(s) address, or `iris` and the like.

    Zip files are unpacked. Where data/ has nothing of the name, it may be that of a dataset that scikit-learn
    brings along: a CSV file in the cache. A zip file of one file or one folder, however deep, is that file or
    folder. Raises `InputError` where there is nothing, or nothing that can be read.
    """
    path = download(data, cache) if "://" in data else paths.dataset(data)
    if not path.exists():
        from trainkit.data.table import bundled  # it brings scikit-learn

        if data in bundled.LOADERS:
            return bundled.file(data, cache)
        raise InputError(f"There is no {path}.", "Specify a file or folder in data/, or an http(s) address.")
    return unpack(path, cache) if path.is_file() and zipfile.is_zipfile(path) else path


def download(url: str, cache: Path) -> Path:
    """The file at the address, from the cache where the server says that it has not changed.

    Without an answer the last copy is used, with a warning. Raises `InputError` for what cannot be had.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InputError(f"{url} is no address: {error}.", "Check it.") from None
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if parts.scheme not in ("http", "https"):
        raise InputError(f"{shown} cannot be downloaded.", "Pass an address that begins with http(s)://.")
    folder = cache / "downloads" / hashlib.sha256(url.encode()).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    latest = _known(folder)
    headers = latest["conditions"] if latest else {}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
            if latest and answer.status_code == requests.codes.not_modified:
                return folder / latest["file"]
            return _save(answer, shown, folder)
    except requests.RequestException as error:
        reason = "no answer" if isinstance(error, requests.ConnectionError | requests.Timeout) else error
        if not latest:
            raise InputError(f"{shown} cannot be downloaded: {reason}.", "Check the address.") from None
        copy = folder / latest["file"]
        print(f"Warning: {shown}: {reason}; the copy of {_day(copy)} is used", flush=True)
        return copy
    except OSError as error:
        raise InputError(f"{shown} cannot be kept: {error}.", "Make room on the cache volume.") from None


def _save(answer: requests.Response, shown: str, folder: Path) -> Path:
    if not answer.ok:
        raise InputError(f"{shown} answers {answer.status_code} {answer.reason}.", "Check the address.")
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise InputError(
            f"{shown} is a web page, not a file of data.", "Pass the address of the file itself."
        )
    name = PurePosixPath(unquote(urlsplit(answer.url).path)).name[-100:]
    name = name if name.strip(".") else "download"
    sha = hashlib.sha256()
    with _unfinished(folder) as unfinished:
        with unfinished.open("wb") as file:
            for piece in answer.iter_content(1 << 20):
                sha.update(piece)
                file.write(piece)
        # Each content has a folder of its own, so that a run that reads the last one is not disturbed.
        path = folder / sha.hexdigest()[:16] / name
        path.parent.mkdir(exist_ok=True)
        unfinished.replace(path)
    with _unfinished(folder) as unfinished:
        conditions = {
            condition: answer.headers[says]
            for says, condition in _CONDITIONS.items()
            if says in answer.headers
        }
        latest = _Noted(file=str(path.relative_to(folder)), conditions=conditions)
        unfinished.write_text(json.dumps(latest))
        unfinished.replace(folder / "latest.json")
    return path


def _known(folder: Path) -> _Noted | None:
    """What the last download noted, if its file is still there."""
    try:
        latest: _Noted = json.loads((folder / "latest.json").read_text())
    except (OSError, ValueError):
        return None
    return latest if (folder / latest["file"]).is_file() else None


def unpack(file: Path, cache: Path) -> Path:
    """What is in the zip file, unpacked once for each content. Hidden files and macOS's notes are left out.

    Raises `InputError`, before anything is written, for names that lead out of the folder, links, passwords,
    and more than fits.
    """
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()[:32]
    target = cache / "unpacked" / digest
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with _unfinished(target.parent) as unfinished:
            _extract(file, unfinished / file.stem)
            # Another run may have been faster; a folder that has files is never replaced.
            with suppress(OSError):
                unfinished.rename(target)
    return _innermost(target)


def _extract(file: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            names: dict[str, str] = {}
            for member in members:
                _check(file, member)
                folded = unicodedata.normalize(
                    "NFD", unicodedata.normalize("NFD", member.filename).casefold()
                )
                if folded in names:
                    raise InputError(
                        f"{file.name} has two files of one name: {names[folded]} and {member.filename}.",
                        "Rename one of them: the second would replace the first where case does not count.",
                    )
                names[folded] = member.filename
            wanted = [member for member in members if not _is_hidden(member.filename)]
            size = sum(member.file_size for member in wanted)
            folder.mkdir(parents=True)
            if size > min(_MOST_BYTES, shutil.disk_usage(folder).free) or len(wanted) > _MOST_FILES:
                raise InputError(
                    f"{file.name} would unpack to {size / 1e9:.1f} GB in {len(wanted)} files: too much.",
                    "Make room on the cache volume, or pack less into it.",
                )
            if not wanted:
                raise InputError(f"{file.name} has no files in it.", "Pack a folder of images or a CSV file.")
            for member in wanted:
                archive.extract(member, folder)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        raise InputError(f"{file.name} cannot be unpacked: {error}.", "Pack it again.") from None


def _check(file: Path, member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise InputError(
            f"{file.name} has a file that would land outside of its folder: {member.filename}.",
            "Do not use this file; whoever made it meant harm or made a mistake.",
        )
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        what = "a link" if kind == stat.S_IFLNK else "something that is no file"
        raise InputError(f"{file.name} has {what} in it: {member.filename}.", "Pack the files themselves.")
    if member.flag_bits & 1:
        raise InputError(f"{file.name} needs a password.", "Pack it without one.")


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _innermost(folder: Path) -> Path:
    inside = list(folder.iterdir())
    if len(inside) != 1:
        return folder
    return _innermost(inside[0]) if inside[0].is_dir() else inside[0]


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A new name in the folder, whose file or folder is gone afterwards unless it was renamed."""
    for stale in folder.glob("*.tmp"):
        if stale.stat().st_mtime < time.time() - _STALE_S:
            _remove(stale)  # of a run that was killed
    path = folder / f"{uuid.uuid4().hex}.tmp"
    try:
        yield path
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _day(path: Path) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(path.stat().st_mtime))
