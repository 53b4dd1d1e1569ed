"""Files of a model, copied to where the user wants them."""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainkit.models.export import MODEL

from trainer import atomic_files
from trainer.errors import FileError, InvalidInput, TrackingError
from trainer.models import locate, registry, version_tags
from trainer.models.kept import FILE, SUFFIX, Bar
from trainer.runs import resolve, server
from trainer.server import selection
from trainer.tracking import artifacts
from trainer.tracking.artifacts import logged_models
from trainer.tracking.client import Client
from trainer.workspace import unfinished
from trainer.workspace.settings import Workspace

_PIECE = 1 << 20


@dataclass(frozen=True)
class Copied:
    """A file, whole. `was_there` says that it had the same content before."""

    path: Path
    size: int
    """In bytes."""
    was_there: bool


@dataclass(frozen=True)
class Downloaded:
    """A model, called like its run or NAME@VERSION; its files, and which of them is the ONNX file, if any."""

    name: str
    files: tuple[Copied, ...]
    onnx: Path | None
    sha256: str | None
    """Of the ONNX file."""


@dataclass(frozen=True)
class _Stored:
    """Where a server has all files of a model. `sha256` is that of its ONNX file, where it is known."""

    client: Client
    name: str
    uri: str
    sha256: str | None


def file(workspace: Workspace, text: str, to: Path | None, bar: Bar, *, replace: bool) -> Downloaded:
    """Copy the ONNX file of a run, NAME@ALIAS or NAME@VERSION, whose digest is checked.

    `to` is a file that ends in .onnx, or a folder, in which it is called like the model; None for this one.

    Raises as `locate.locate`; `InvalidInput` for another file in its place, unless `replace`; `FileError`.
    """
    try:
        found = locate.locate(workspace, text, bar)
    except locate.NotExported as error:
        raise InvalidInput(error.message, "Download what there is: --all") from None
    target = to or Path()
    if target.suffix.lower() != SUFFIX or target.is_dir():
        target /= f"{_file_name(found.name)}{SUFFIX}"
    if found.sha256 != _digest(found.path):
        found.path.unlink()
        raise FileError(
            f"{found.path} was damaged since it was fetched; it is removed.",
            "The same command fetches it again.",
        )
    copied = _copy(found.name, {target: found.path}, bar, replace=replace)
    return Downloaded(found.name, copied, target, found.sha256)


def whole(workspace: Workspace, text: str, to: Path | None, bar: Bar, *, replace: bool) -> Downloaded:
    """Copy all files that MLflow has of a model: of a version as it is registered, of a run as it was logged.

    `to` is the folder that gets them; None for one of the current folder, called like the model. What else is
    in it stays. Raises as `file`.
    """
    stored = _stored(workspace, text)
    folder = to or Path(_file_name(stored.name))
    with unfinished.folder(workspace, unfinished.DOWNLOAD) as scratch:
        content = scratch / MODEL
        content.mkdir()
        artifacts.fetch(stored.client.server, stored.uri, content)
        sources = {
            folder / path.relative_to(content): path for path in sorted(content.rglob("*")) if path.is_file()
        }
        onnx = folder / FILE if folder / FILE in sources else None
        sha256 = _digest(sources[onnx]) if onnx else None
        if stored.sha256 not in (None, sha256):
            raise TrackingError(
                f"The ONNX file of {stored.name} is not the one that was registered.",
                "It was damaged or replaced on the server. Register the run again.",
            )
        copied = _copy(stored.name, sources, bar, replace=replace)
    return Downloaded(stored.name, copied, onnx, sha256)


def _stored(workspace: Workspace, text: str) -> _Stored:
    name, at, _ = text.partition("@")
    if name and at:
        client, _ = selection.existing(workspace)
        version = registry.version(client, registry.parse(text))
        sha256 = version.tags.get(version_tags.SHA256)
        return _Stored(client, f"{version.model}@{version.number}", version.source, sha256)
    client, run = server.run_of(workspace, resolve.resolve(workspace, text))
    logged = logged_models.find(client, run, MODEL)
    if logged is None:
        raise InvalidInput(
            f"The run {run.name} has no model.", f"`trainer show {run.id[:8]}` lists what it has."
        )
    return _Stored(client, run.name or run.id, logged.uri, None)


def _file_name(model: str) -> str:
    """`skin-3` of skin@3."""
    return model.replace("@", "-").replace("/", "-").lstrip(".") or MODEL


def _copy(name: str, sources: Mapping[Path, Path], bar: Bar, *, replace: bool) -> tuple[Copied, ...]:
    """Copy files, by their targets, each of which appears when it is whole.

    Raises `InvalidInput` before the first one, where another file is in a place, unless `replace`.
    """
    new = [target for target, source in sources.items() if not _is_same(source, target)]
    for target in new:
        if target.is_dir():
            raise InvalidInput(f"{target} is a folder.", "Choose another place.")
        if not replace and (target.is_symlink() or target.exists()):
            raise InvalidInput(
                f"{target} exists, and is another file.", "Choose another place, or replace it: --force"
            )
    total, done = sum(sources[target].stat().st_size for target in new), 0
    for target in new:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = atomic_files.beside(target)
        try:
            with sources[target].open("rb") as read, part.open("wb") as written:
                while piece := read.read(_PIECE):
                    written.write(piece)
                    done += len(piece)
                    bar(f"Copying {name}", done, total)
            _rename(part, target, replace=replace)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
    return tuple(Copied(target, target.stat().st_size, target not in new) for target in sources)


def _is_same(source: Path, target: Path) -> bool:
    return target.is_file() and filecmp.cmp(source, target, shallow=False)


def _rename(part: Path, target: Path, *, replace: bool) -> None:
    if replace:
        part.replace(target)
    else:
        atomic_files.rename(part, target)


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
