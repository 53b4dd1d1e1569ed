"""The pictures that several runs have: confusion matrices, curves, and whatever else has one path in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from trainer.datasets import silent
from trainer.errors import TrackingError
from trainer.tracking.artifacts import listing
from trainer.tracking.client import Client, Run

_TYPES = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
_LOOKED_AT = 1000  # artifacts of a run: it may have a folder of predictions


@dataclass(frozen=True)
class Limits:
    """How much is downloaded."""

    paths: int = 12
    bytes_each: int = 2_000_000
    bytes_together: int = 20_000_000


@dataclass(frozen=True)
class Picture:
    """One artifact of several runs."""

    path: str
    by_run: Mapping[str, bytes]
    """Its content by the id of the run, without the runs that have none or of which it was left out."""

    @property
    def media_type(self) -> str:
        """As a `data:` address names it."""
        return _TYPES[PurePosixPath(self.path).suffix.lower()]


@dataclass(frozen=True)
class Pictures:
    """What was downloaded, and what was not."""

    shown: tuple[Picture, ...] = ()
    left_out: tuple[str, ...] = ()
    """A sentence for each picture or run that is missing: which, and why."""


def shared(
    sources: Sequence[tuple[Client, Run]],
    limits: Limits | None = None,
    progress: Callable[[str, int, int], None] = silent,
) -> Pictures:
    """The pictures that at least two of the runs have under one path, those in no folder first.

    What is beyond `limits`, and what cannot be read, is left out. `progress` is called with the name of the
    step, and with how many pictures of how many were read.
    """
    limits = limits or Limits()
    left_out: list[str] = []
    sizes = _sizes(sources, left_out)
    paths = sorted(
        (path for path, of_runs in sizes.items() if len(of_runs) > 1),
        key=lambda path: (path.count("/"), path),
    )
    left_out += [f"{path}: it is after the first {limits.paths}." for path in paths[limits.paths :]]
    shown: list[Picture] = []
    room = limits.bytes_together
    done, total = 0, sum(len(sizes[path]) for path in paths[: limits.paths])
    for path in paths[: limits.paths]:
        by_run: dict[str, bytes] = {}
        for client, run in sources:
            if run.id not in sizes[path]:
                continue
            progress("Reading pictures", done, total)
            done += 1
            most = min(room, limits.bytes_each)
            try:
                content = _content(client, run, path, most) if sizes[path][run.id] <= most else None
            except TrackingError as error:
                left_out.append(f"{path} of {run.name}: {error.message}")
                continue
            if content is None:
                left_out.append(f"{path} of {run.name}: {_beyond(limits)}")
                continue
            by_run[run.id] = content
            room -= len(content)
        if by_run:
            shown.append(Picture(path, by_run))
    return Pictures(tuple(shown), tuple(left_out))


def _sizes(sources: Sequence[tuple[Client, Run]], left_out: list[str]) -> dict[str, dict[str, int]]:
    """What the server says of the pictures' sizes, by their paths and the ids of runs."""
    sizes: dict[str, dict[str, int]] = {}
    for client, run in sources:
        try:
            artifacts = list(islice(listing.of_run(client, run), _LOOKED_AT))
        except TrackingError as error:
            left_out.append(f"All of {run.name}: {error.message}")
            continue
        for artifact in artifacts:
            if artifact.size is not None and PurePosixPath(artifact.path).suffix.lower() in _TYPES:
                sizes.setdefault(artifact.path, {})[run.id] = artifact.size
    return sizes


def _content(client: Client, run: Run, path: str, most: int) -> bytes | None:
    """None where it has more than `most` bytes, whatever the server said of its size."""
    content = bytearray()
    for piece in client.download(run, path):
        content += piece
        if len(content) > most:
            return None
    return bytes(content)


def _beyond(limits: Limits) -> str:
    each, together = limits.bytes_each / 1e6, limits.bytes_together / 1e6
    return f"it has more than {each:g} MB, or all together have more than {together:g} MB."
