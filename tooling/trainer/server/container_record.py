"""What a workspace has written down of its server's container: its addresses, and whether it has a store.

Known without asking the engine.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from trainer.workspace.settings import Workspace


class _EarlierAddress(TypedDict):
    uri: str
    until: float


class _Record(TypedDict):
    uri: str
    earlier: NotRequired[list[_EarlierAddress]]
    has_store: NotRequired[bool]


def recorded(workspace: Workspace) -> str | None:
    """The address of the workspace's container, known without asking the engine; None if it has none."""
    record = _read_record(workspace)
    return record["uri"] if record else None


def record(workspace: Workspace, uri: str) -> None:
    """Write down that the workspace's server is a container, published at that address."""
    workspace.state.mkdir(parents=True, exist_ok=True)
    before = _read_record(workspace)
    earlier = before.get("earlier", []) if before else []
    if before and before["uri"] != uri:
        earlier = [*earlier, _EarlierAddress(uri=before["uri"], until=time.time())]
    _write_record(workspace, _Record(uri=uri, earlier=earlier, has_store=has_store(workspace)))


def has_store(workspace: Workspace) -> bool:
    """Whether the container has been running, and so has made a database on its volume."""
    record = _read_record(workspace)
    return bool(record and record.get("has_store"))


def record_store(workspace: Workspace, *, exists: bool) -> None:
    """Write down that the volume has a database; or that it need not have one any more."""
    record = _read_record(workspace)
    if record and bool(record.get("has_store")) != exists:
        _write_record(workspace, {**record, "has_store": exists})


def present(workspace: Workspace, uri: str, since: float) -> str:
    """The address of now of the server that was at `uri` at a time, in seconds since 1970."""
    record = _read_record(workspace)
    earlier = record.get("earlier", []) if record else []
    moved = any(address["uri"] == uri and 0 < since < address["until"] for address in earlier)
    return record["uri"] if record and moved else uri


def _record(workspace: Workspace) -> Path:
    return workspace.state / "server-container.json"


def _write_record(workspace: Workspace, record: _Record) -> None:
    temporary = _record(workspace).with_suffix(".new")
    temporary.write_text(json.dumps(record))
    temporary.replace(_record(workspace))


def _read_record(workspace: Workspace) -> _Record | None:
    try:
        payload = json.loads(_record(workspace).read_text())
    except (OSError, ValueError):
        return None
    return (
        cast(_Record, payload) if isinstance(payload, dict) and isinstance(payload.get("uri"), str) else None
    )
