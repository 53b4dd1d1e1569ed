"""What was in a table at a moment, row by row, so that a later state can be compared with it.

A manifest has the digest of a file alone. What is kept here is known on this machine only.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer import atomic_files
from trainer.counted import counted
from trainer.datasets.changes import Changes
from trainer.datasets.contents import Files
from trainer.datasets.listing import ITSELF
from trainer.datasets.tables import files, rows
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace

_BYTES = 8  # of a row's hash


@dataclass(frozen=True)
class TableContents:
    """The names of the columns, and how often each row is there, by a hash of its cells."""

    columns: tuple[str, ...]
    rows: Counter[bytes]


def of(path: Path) -> TableContents:
    """Read a CSV file. Raises `InvalidInput`."""
    all_rows = rows.read(path)
    header = next(all_rows, None)
    columns = tuple(cell.strip() for cell in header.cells) if header else ()
    return TableContents(columns, Counter(_hash(row.cells) for row in all_rows if not row.is_empty))


def keep(workspace: Workspace, root: Path, of_dataset: Files) -> None:
    """Keep what is in each CSV file of a dataset, once for each content."""
    for path, file in of_dataset.items():
        source = root if path == ITSELF else root / path
        place = _place(workspace, file.sha256)
        if source.suffix.lower() in files.SUFFIXES and not place.exists():
            try:
                found = of(source)
            except InvalidInput:  # no CSV file, whatever its name
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            hashes = b"".join(sorted(found.rows.elements()))
            atomic_files.write(place, json.dumps(found.columns).encode() + b"\n" + hashes)


def kept(workspace: Workspace, sha256: str) -> TableContents | None:
    """What was kept of the file with that hash, if anything was."""
    try:
        columns, _, hashes = _place(workspace, sha256).read_bytes().partition(b"\n")
        names = tuple(map(str, json.loads(columns)))
    except (OSError, ValueError):
        return None
    parts = (hashes[start : start + _BYTES] for start in range(0, len(hashes), _BYTES))
    return TableContents(names, Counter(parts))


def differences(workspace: Workspace, root: Path, changes: Changes, new: Files) -> Iterator[tuple[str, str]]:
    """The path of each CSV file that changed, and what of its columns and rows did.

    `new` is the state that the changes lead to, which may be the one on the disk.
    """
    for path, before in changes.changed.items():
        source = root if path == ITSELF else root / path
        if source.suffix.lower() in files.SUFFIXES:
            old = kept(workspace, before.sha256)
            now = kept(workspace, new[path].sha256) or _as_it_is(source, new[path].sha256)
            yield path, _between(old, now) if old and now else "its rows were not kept on this machine"


def _as_it_is(path: Path, sha256: str) -> TableContents | None:
    try:
        content = path.read_bytes()
        return of(path) if hashlib.sha256(content).hexdigest() == sha256 else None
    except (OSError, InvalidInput):
        return None


def _between(old: TableContents, new: TableContents) -> str:
    """`3 rows added, 1 row removed`; where the columns differ, which, and how many rows there are."""
    parts = []
    for word, names in (
        ("added", [name for name in new.columns if name not in old.columns]),
        ("removed", [name for name in old.columns if name not in new.columns]),
    ):
        if names:
            parts.append(f"{'column' if len(names) == 1 else 'columns'} {word}: {', '.join(names)}")
    if old.columns != new.columns:
        if not parts:
            parts.append("columns in another order")
        if old.rows.total() != new.rows.total():
            parts.append(f"{old.rows.total():,} → {counted(new.rows.total(), 'row')}")
        return "; ".join(parts)
    added, removed = (new.rows - old.rows).total(), (old.rows - new.rows).total()
    parts += [f"{counted(n, 'row')} {word}" for n, word in ((added, "added"), (removed, "removed")) if n]
    return ", ".join(parts) or "the same rows, in another order or written in another way"


def _hash(cells: list[str]) -> bytes:
    return hashlib.blake2b("\0".join(cell.strip() for cell in cells).encode(), digest_size=_BYTES).digest()


def _place(workspace: Workspace, sha256: str) -> Path:
    return workspace.state / "datasets" / "tables" / sha256
