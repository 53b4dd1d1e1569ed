"""What of a run's journal its launcher alone delivers: the files of a store that does not take them by way of
the server, such as S3. The credentials of that store stay on the launcher's machine, so the run keeps them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from trainkit.spool.journal import Entry, Record, Spool
from trainkit.spool.responses import API

_A_MODEL = re.compile(rf"{API}/logged-models/[^/?]+")


def is_proxied(uri: str) -> bool:
    """Whether the tracking server itself passes on the artifacts at that address."""
    return uri.startswith("mlflow-artifacts:")


def is_for_launcher(record: Record) -> bool:
    """Whether it is for the launcher: a file, or that a model, which is made of files, is complete."""
    if "file" in record:
        return True
    return record.get("method") == "PATCH" and _A_MODEL.fullmatch(str(record.get("path"))) is not None


def waiting(spool: Spool, entries: Callable[[int], Iterator[Entry]] | None = None) -> Iterator[Entry]:
    """Everything that is not delivered, in order: what the run left to its launcher, then the rest.

    `entries` reads the journal, as the spool's own does.
    """
    delivered = spool.delivered()
    for entry in (entries or spool.entries)(spool.stored()):
        if entry.end > delivered or (entry.record is not None and is_for_launcher(entry.record)):
            yield entry
