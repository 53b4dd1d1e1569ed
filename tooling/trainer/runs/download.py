"""The artifacts of a run, copied to a folder of this machine."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainer import atomic_files
from trainer.errors import DiskFull, InvalidInput, TrackingError
from trainer.projects.parameters import nearest
from trainer.runs import resolve, server
from trainer.tracking.artifacts import listing
from trainer.tracking.client import Client, Run
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class File:
    """An artifact that is a file, and where it is copied to."""

    path: str
    target: Path
    size: int
    """In bytes."""


@dataclass(frozen=True)
class Download:
    """What of a run is copied."""

    client: Client
    run: Run
    missing: tuple[File, ...]
    """Those that are copied."""
    present: tuple[File, ...]
    """Those that are there already, with the size that they have on the server."""


def plan(workspace: Workspace, text: str, artifact: str | None, folder: Path | None) -> Download:
    """What is copied of a run: a file or a folder of its artifacts, or all of them.

    `folder`: where to; None for the current folder, and in it, for all artifacts, one with the run's name.

    Raises `InvalidInput` where there is no such run or artifact, or where something else is in the place of
    a file; `DiskFull`; `TrackingError`.
    """
    client, run = server.run_of(workspace, resolve.resolve(workspace, text))
    artifact = artifact.strip("/") if artifact else ""
    listed = list(listing.of_run(client, run))
    found = [file for file in listed if not artifact or PurePosixPath(file.path).is_relative_to(artifact)]
    if not found:
        raise _lacks(run, artifact, [file.path for file in listed])
    above = PurePosixPath(artifact).parent
    to = folder or (Path() if artifact else Path(_folder_name(run)))
    files = [
        File(item.path, to / _inside(item.path).relative_to(above), item.size)
        for item in found
        if item.size is not None
    ]
    present = tuple(
        file for file in files if file.target.is_file() and file.target.stat().st_size == file.size
    )
    missing = tuple(file for file in files if file not in present)
    for file in missing:
        if taken := _in_the_way(file.target):
            raise InvalidInput(f"{taken} exists, and is another file.", "Download to another folder: -o DIR")
    _check_space(to, sum(file.size for file in missing))
    return Download(client, run, missing, present)


def fetch(download: Download, progress: Callable[[str, int, int], None]) -> None:
    """Copy what is missing. A file appears under its name when it is whole, and never replaces another one.

    `progress` is called with the name of the step, and with how many bytes are copied of how many.
    """
    total, done = sum(file.size for file in download.missing), 0
    for file in download.missing:
        file.target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = atomic_files.beside(file.target)
        try:
            with unfinished.open("wb") as written:
                for piece in download.client.download(download.run, file.path):
                    written.write(piece)
                    done += len(piece)
                    progress("Downloading", done, total)
            atomic_files.rename(unfinished, file.target)
        except BaseException:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise


def _in_the_way(target: Path) -> Path | None:
    """What is in the place of the file, or of a folder that it goes to."""
    if target.is_symlink() or target.exists():
        return target
    return next((folder for folder in target.parents if folder.exists() and not folder.is_dir()), None)


def _folder_name(run: Run) -> str:
    return run.name if run.name and run.name not in (".", "..") and "/" not in run.name else run.id


def _inside(path: str) -> PurePosixPath:
    """The path, which a server could have made one that leads out of the folder."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise TrackingError(
            f"The server has an artifact {path!r}, which is no relative path.",
            "Download the others one by one.",
        )
    return pure


def _lacks(run: Run, artifact: str, paths: list[str]) -> InvalidInput:
    if not artifact:
        return InvalidInput(
            f"The run {run.name} has no artifacts.", f"`trainer show {run.id[:8]}` shows what it has."
        )
    near = nearest(artifact, paths, "") if paths else ""
    hint = near if near.startswith("Did") else f"`trainer show {run.id[:8]}` lists them."
    return InvalidInput(f"The run {run.name} has no artifact {artifact}.", hint)


def _check_space(folder: Path, needed: int) -> None:
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DiskFull(
            f"The artifacts take {needed / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free at {existing}.",
            "Download to another disk: -o DIR",
        )
