"""The data sets of a run by digest: taken before it starts, and recorded in its tags.

What a digest stands for is kept in the workspace too, so that it can be said later which file differs, of a
data set that nobody took a snapshot of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from trainer.datasets import atomic, contents, index
from trainer.datasets.contents import Contents, File, Files
from trainer.workspace import Workspace

TAG = "trainer.dataset."


def tags(workspace: Workspace, names: Iterable[str], step: Callable[[str], None]) -> dict[str, str]:
    """`trainer.dataset.NAME` → the digest (64 hex digits) of each of them. Raises `BadInput`.

    `step` is told how far it is.
    """
    made = {}
    for name in names:
        step(f"Looking at the data set {name}")
        root = workspace.data / name

        def report(_: str, done: int, total: int, name: str = name) -> None:
            step(f"Reading the data set {name}: {done:,} of {total:,} files")

        taken = contents.take(root, index.place(workspace, root), report)
        keep(workspace, taken)
        made[tag(name)] = taken.digest
    return made


def tag(name: str) -> str:
    """The tag of a data set: MLflow takes letters, digits, blanks and `_ - . /` in a tag's name."""
    return TAG + re.sub(r"[^\w\-. /]", "_", name)[:200]


def keep(workspace: Workspace, taken: Contents) -> None:
    """Keep what the digest stands for, once."""
    place = _place(workspace, taken.digest)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(place, json.dumps(taken.files, separators=(",", ":")).encode())


def files(workspace: Workspace, digest: str) -> Files | None:
    """The files that a whole digest stands for, if a run of this workspace had them."""
    try:
        said = json.loads(_place(workspace, digest).read_bytes())
    except (OSError, ValueError):
        return None
    found = {path: File(*file) for path, file in said.items()}
    return found if Contents(found).digest == digest else None


def digests(workspace: Workspace, prefix: str) -> list[str]:
    """Those of runs of this workspace that begin like that."""
    folder = _place(workspace, "").parent
    return sorted(path.stem for path in folder.glob("*.json") if path.stem.startswith(prefix))


def _place(workspace: Workspace, digest: str) -> Path:
    return workspace.state / "datasets" / "manifests" / f"{digest}.json"
