"""Sending again what a tracking server refused, after its limit was raised, say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import cast

from trainkit.spool.journal import Record, Spool, SpoolError
from trainkit.spool.refusals import REFUSED_TAG
from trainkit.spool.responses import API

from trainer.errors import DiskFull
from trainer.tracking import spool_guard
from trainer.tracking.spool_owner import REFUSED, replace
from trainer.workspace import refusals, run_folder
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.settings import Workspace


def take_back(workspace: Workspace, is_wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Put the runs whose ids are wanted back to those that are to be delivered.

    A run that goes on is left alone. Whoever is interrupted calls it again. Raises `DiskFull`.
    """
    for refused in list(refusals.all_refused(workspace)):
        folder = run_folder.of(workspace, refused.run_id)
        if is_wanted(refused.run_id) and not folder.path.exists():
            try:
                # First: cut off from here on, the next delivery brings it back with what was refused.
                refused.folder.rename(folder.path)
                spool_guard.clean(folder)
                _append_refused(folder)
            except (OSError, SpoolError) as error:
                raise DiskFull(f"{refused.folder} cannot be used: {error}", "Make space there.") from None


def _append_refused(folder: RunFolder) -> None:
    spool, file = Spool(folder.spool), folder.refused
    run_id = cast(Mapping[str, str], spool.run()["info"])["run_id"]
    untag = {"run_id": run_id, "key": REFUSED_TAG}
    spool.append({"method": "POST", "path": f"{API}/runs/delete-tag", "body": untag})
    lines = file.read_bytes().splitlines(keepends=True)
    torn = []
    for line in lines:
        if (record := _record(line)) is None:
            torn.append(line)
        else:
            spool.append(record)
    # What was not made then may be made now.
    names = {
        name: server_name
        for name, server_name in spool.names().items()
        if not server_name.startswith(REFUSED)
    }
    replace(spool.folder / "names.json", json.dumps(names).encode())
    if torn:
        replace(file, b"".join(torn))
    else:
        file.unlink()


def _record(line: bytes) -> Record | None:
    try:
        record = json.loads(line)["record"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
