"""Delivering a run again, as far as it is on this disk: its server was put back to an earlier time."""

from __future__ import annotations

import shutil

from trainkit.spool.journal import Spool

from trainer.tracking.spool_guard import GuardedSpool
from trainer.workspace.run_folder import RunFolder


def ask(folder: RunFolder) -> None:
    """Have the next delivery of the run in this folder begin at the beginning. The job may still go on."""
    folder.replay.touch()


def prepare(spool: GuardedSpool, folder: RunFolder) -> None:
    """Let the spool be delivered from its beginning, if that was asked for. Its job has ended.

    The server takes no point twice. Files that it had are not on this disk any more: their records are left
    out. Whoever is interrupted in between calls it again. Raises `OSError`.
    """
    if not folder.replay.exists():
        return
    shutil.rmtree(folder.replayed, ignore_errors=True)
    new = Spool(folder.replayed)
    new.folder.mkdir()
    for entry in Spool.entries(spool):
        record = entry.record
        if record is not None and ("file" not in record or spool.is_own(spool.folder / str(record["file"]))):
            new.append(record)
    # In this order: what is read from the beginning may be the old journal, but not the other way round.
    if spool.leaves_artifacts:
        spool.acknowledge_stored(0)
    (spool.folder / "delivered").unlink(missing_ok=True)
    if new.journal.exists():
        new.journal.replace(spool.journal)
    shutil.rmtree(new.folder)
    folder.replay.unlink()
