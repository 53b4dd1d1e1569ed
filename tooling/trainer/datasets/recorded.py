"""The datasets of a run by digest: taken before it starts, and recorded in its tags.

What a digest stands for is kept in the workspace too, so that it can be said later which file differs, of a
dataset that nobody took a snapshot of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer import atomic_files
from trainer.datasets import catalog, changes, contents, index, inside, manifest
from trainer.datasets.contents import Contents, File, Files
from trainer.datasets.inputs import Data
from trainer.datasets.listing import ITSELF
from trainer.errors import CheckFailed
from trainer.progress import Steps
from trainer.projects.mounts import Mount
from trainer.workspace.settings import Workspace

_SHOWN = 3


def take(
    workspace: Workspace,
    named: Mapping[str, str],
    steps: Steps,
    mounts: Sequence[Mount] = (),
) -> tuple[Data, ...]:
    """Look at what parameters name: names in data/, or absolute paths. Raises `InvalidInput`.

    `mounts` are what a run in a container sees of the host: a link in a dataset has to lead to something in
    them.
    """
    inputs = []
    for parameter, name in named.items():
        steps.step(f"Looking at {name}")
        root = workspace.data / name

        def report(_: str, done: int, total: int) -> None:
            steps.part("reading", f"{done:,} of {total:,} files")

        taken = contents.take(
            root, index.place(workspace, root), report, mounted=inside.mounted(root, mounts)
        )
        keep(workspace, taken)
        inputs.append(Data(parameter, name, taken.digest, len(taken.files), taken.bytes))
    return tuple(inputs)


def verify(workspace: Workspace, parameter: str, name: str, digest: str) -> None:
    """Raises `CheckFailed`, naming the files, where data is not what it was with that digest."""
    root = workspace.data / name
    if not root.exists():
        raise CheckFailed(
            f"{name}, which the run had as --{parameter.replace('_', '-')}, is not there.",
            f"Put it back as {root}."
            if Path(name).is_absolute()
            else f"It had the digest {digest[:8]}. {catalog.missing(workspace, name)}",
        )
    if differing := difference(workspace, name, digest):
        raise CheckFailed(
            f"{name} is not what the run had: {differing}.",
            f"Put it back as it was (digest {digest[:8]})"
            + (
                f"; `trainer data diff {name} {digest[:8]}` lists all."
                if _can_be_compared(workspace, name, digest)
                else "."
            ),
        )


def difference(workspace: Workspace, name: str, digest: str) -> str:
    """What of data that is there is not as it was with that digest; empty where it is the same.

    Files of a folder are named where a run of this workspace had it with that digest. Raises `InvalidInput`.
    """
    root = workspace.data / name
    now = contents.take(root, index.place(workspace, root))
    if now.digest == digest:
        return ""
    before = files(workspace, digest)
    if before is None or ITSELF in before:
        return f"its digest was {digest[:8]} and is {now.digest[:8]}"
    lines = [f"{path} ({word})" for word, path in changes.between(before, now.files).lines()]
    more = len(lines) - _SHOWN
    return ", ".join(lines[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _can_be_compared(workspace: Workspace, name: str, digest: str) -> bool:
    """Whether `trainer data diff` knows what had that digest: only what is in data/ itself has versions."""
    if len(Path(name).parts) > 1:
        return False
    versions = manifest.read(workspace.data / f"{name}{catalog.MANIFEST}", name)
    return files(workspace, digest) is not None or bool(versions.with_digest(digest))


def keep(workspace: Workspace, taken: Contents) -> None:
    """Keep what the digest stands for, once."""
    path = _place(workspace, taken.digest)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.write(path, json.dumps(taken.files, separators=(",", ":")).encode())


def files(workspace: Workspace, digest: str) -> Files | None:
    """The files that a whole digest stands for, if a run of this workspace had them."""
    try:
        payload = json.loads(_place(workspace, digest).read_bytes())
    except (OSError, ValueError):
        return None
    contents = {path: File(*file) for path, file in payload.items()}
    return contents if Contents(contents).digest == digest else None


def digests(workspace: Workspace, prefix: str) -> list[str]:
    """Those of runs of this workspace that begin like that."""
    folder = _place(workspace, "").parent
    return sorted(path.stem for path in folder.glob("*.json") if path.stem.startswith(prefix))


def _place(workspace: Workspace, digest: str) -> Path:
    return workspace.state / "datasets" / "manifests" / f"{digest}.json"
