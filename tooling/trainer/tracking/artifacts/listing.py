"""What artifacts a run has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NotRequired, TypedDict, cast

from trainkit.spool.launcher_records import is_proxied

from trainer.errors import TrackingError
from trainer.tracking import artifacts
from trainer.tracking.client import Client, Run

_LIST = "/api/2.0/mlflow/artifacts/list"


@dataclass(frozen=True)
class Artifact:
    """A file of a run, or a folder, which has no size."""

    path: str
    size: int | None
    """In bytes."""


class _File(TypedDict):
    path: str
    is_dir: bool
    file_size: NotRequired[int]


def of_run(client: Client, run: Run) -> Iterator[Artifact]:
    """The artifacts of a run, each folder before what is in it. Raises `TrackingError`.

    The server lists them. One without the credentials of its own store cannot: this machine does it then.
    """
    listed = _of_server(client, run.id)
    try:
        first = list(islice(listed, 1))
    except TrackingError:
        if is_proxied(run.artifact_uri):
            raise
        for path, size in artifacts.listed(client.server, run.artifact_uri):
            yield Artifact(path, size)
        return
    yield from first
    yield from listed


def _of_server(client: Client, run_id: str, folder: str = "") -> Iterator[Artifact]:
    """One call for each folder."""
    token = ""
    while True:
        query = {"run_id": run_id, "path": folder, "page_token": token}
        parameters = {name: value for name, value in query.items() if value}
        payload = client.send("GET", _LIST, query=parameters).json()
        for file in cast(list[_File], payload.get("files", [])):
            if file["is_dir"]:
                yield Artifact(file["path"], None)
                yield from _of_server(client, run_id, file["path"])
            else:
                yield Artifact(file["path"], int(file.get("file_size", 0)))
        token = payload.get("next_page_token", "")
        if not token:
            return
