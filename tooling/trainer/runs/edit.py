"""Changes to runs that are on a tracking server: deleted, restored, renamed, tagged.

Every function takes a run as a user names it. It raises `InvalidInput` where that is not one run, or the
change makes no sense, and `TrackingError` where the server does not make it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from trainer.errors import InvalidInput, TrackingDenied
from trainer.plan import revealed
from trainer.runs import resolve, server
from trainer.tracking import edit, names, run_tags
from trainer.tracking.client import Client, Run
from trainer.tracking.failures import NotPermitted
from trainer.workspace import run_folders, secrets
from trainer.workspace.settings import Workspace

_RESERVED = ("mlflow.", "trainer.")


def delete(workspace: Workspace, texts: Sequence[str]) -> list[Run]:
    """Delete the runs. All are looked up before the first is deleted."""
    pairs = [server.run_of(workspace, resolve.resolve(workspace, text)) for text in dict.fromkeys(texts)]
    by_id = {run.id: (client, run) for client, run in pairs}
    for _, run in by_id.values():
        if run_folders.is_live(workspace, run.id) or run.status == "RUNNING":
            raise InvalidInput(
                f"The run {run.name} has not ended.", f"Stop it first: trainer stop {run.id[:8]}"
            )
        if run.status == "DELETED":
            raise InvalidInput(
                f"The run {run.name} is deleted already.",
                "`trainer runs list --deleted` lists the deleted runs.",
            )
    for client, run in by_id.values():
        try:
            edit.delete(client, run.id)
        except NotPermitted:
            raise TrackingDenied(
                f"The run {run.name} is in an experiment of somebody else, who alone may delete runs of it.",
                f"Mark it instead: trainer runs tag {run.id[:8]} state=obsolete",
            ) from None
        run_folders.update(workspace, run.id, lambda record: replace(record, is_deleted=True))
    return [run for _, run in by_id.values()]


def restore(workspace: Workspace, texts: Sequence[str]) -> list[Run]:
    """Restore deleted runs. All are looked up before the first is restored."""
    pairs = [
        server.run_of(workspace, resolve.resolve_deleted(workspace, text)) for text in dict.fromkeys(texts)
    ]
    by_id = {run.id: (client, run) for client, run in pairs}
    for client, run in by_id.values():
        edit.restore(client, run.id)
        run_folders.update(workspace, run.id, lambda record: replace(record, is_deleted=False))
    return [run for _, run in by_id.values()]


def rename(workspace: Workspace, text: str, name: str) -> Run:
    """Rename the run; return it as it was before."""
    names.check_run_name(name)
    revealed.check(secrets.load(workspace), (), {}, [("The name", name)])
    client, run = _existing(workspace, text)
    edit.rename(client, run.id, name)
    run_folders.update(workspace, run.id, lambda record: replace(record, name=name))
    return run


def namesakes(workspace: Workspace, run_id: str, name: str) -> list[str]:
    """The ids of the other runs of this workspace that have the name. No server is asked."""
    return [
        record.run_id
        for record in resolve.started_here(workspace, name)
        if record.name == name and record.run_id != run_id and not record.is_deleted
    ]


def tag(workspace: Workspace, text: str, tags: Mapping[str, str], removed: Collection[str]) -> Run:
    """Set tags of the run, and remove others; the run as it is afterwards."""
    for key in (*tags, *removed):
        if key.startswith(_RESERVED) and key != run_tags.NOTE:
            raise InvalidInput(
                f"The tag {key} is not yours to change: {key.partition('.')[0]} sets it.",
                f"Use a key that does not start with {' or '.join(_RESERVED)}",
            )
        if key in tags and key in removed:
            raise InvalidInput(f"The tag {key} is to be set and removed.", "Choose one of them.")
    names.check_tags(tags)
    revealed.check(
        secrets.load(workspace), (), {}, [(f"The tag {key}", f"{key}={tags[key]}") for key in tags]
    )
    client, run = _existing(workspace, text)
    if missing := [key for key in removed if key not in run.tags]:
        raise InvalidInput(
            f"The run {run.name} has no tag {missing[0]}.",
            f"`trainer show {run.id[:8]} --json` lists its tags.",
        )
    client.set_tags(run.id, tags)
    client.remove_tags(run.id, removed)
    return client.get_run(run.id)


def _existing(workspace: Workspace, text: str) -> tuple[Client, Run]:
    client, run = server.run_of(workspace, resolve.resolve(workspace, text))
    if run.status == "DELETED":
        raise InvalidInput(
            f"The run {run.name} is deleted.", f"Restore it first: trainer runs restore {run.id[:8]}"
        )
    return client, run
