"""Runs that report to the workspace's own server when that is to be stopped or changed."""

from __future__ import annotations

from trainer.counted import counted
from trainer.errors import InvalidInput
from trainer.server import container_record
from trainer.workspace import run_folders
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

_SHOWN = 3


def refuse(workspace: Workspace, forced: str | None = None) -> None:
    """Raise `InvalidInput` while runs report to the workspace's own server.

    `forced` is the command that goes on all the same, where there is one.
    """
    live = [record for record in run_folders.live(workspace) if _reports_here(workspace, record)]
    if not live:
        return
    names = [record.name or record.run_id[:8] for record in live]
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else "")
    verb, they, which = ("reports", "it has", live[0].run_id[:8]) if len(live) == 1 else (
        "report", "they have", "--all",
    )  # fmt: skip
    anyway = f" To go on all the same, while what is logged waits on this disk: {forced}" if forced else ""
    raise InvalidInput(
        f"{counted(len(live), 'live run')} {verb} to this server: {shown}.",
        f"Wait until {they} ended (trainer ps), or: trainer stop {which}.{anyway}",
    )


def _reports_here(workspace: Workspace, record: Record) -> bool:
    if record.own_server:
        return True
    uri = container_record.recorded(workspace)
    return uri is not None and container_record.present(workspace, record.tracking_uri, record.started) == uri
