"""What a run left in its spool, before this machine delivers it: nothing in it may lead anywhere else.

A run is a stranger and may write what it likes into the folder, and into the journal. What delivers it has
the user's files and credentials: it must not follow a link, send or remove a file that is not the spool's,
store one where the run says, or ask another host.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from trainkit.spool_answers import Answer
from trainkit.spool_journal import Entry, Record, Spool

_FILE = re.compile(r"outbox/[0-9a-f]{32}/[^/\0]+")
_WHY = "It leads out of the run's own folder."


def clean(folder: Path) -> None:
    """Remove links, pipes and the like from the spool of a job that has ended; they hold nothing of it."""
    for place, folders, files in os.walk(folder):  # which follows no links
        for path in (Path(place, name) for name in (*folders, *files)):
            if not stat.S_ISDIR(mode := path.lstat().st_mode) and not stat.S_ISREG(mode):
                path.unlink()


class GuardedSpool(Spool):
    """A spool whose journal has no records with files that are not its own."""

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """As of any spool, but such a record reads as torn."""
        for entry in super().entries(start):
            yield entry if entry.record is None or self._may_pass(entry.record) else Entry(None, entry.end)

    def set_aside(self) -> None:
        """Keep those records with what the server refused."""
        left = [entry.record for entry in super().entries(self.delivered()) if entry.record is not None]
        said = [
            {"record": record, "status": 0, "answer": _WHY} for record in left if not self._may_pass(record)
        ]
        lines = list(map(json.dumps, said))
        if not lines:
            return
        refused = self.folder / "refused"
        known = set(refused.read_text().splitlines()) if refused.exists() else set()
        with refused.open("a") as file:
            file.writelines(f"{line}\n" for line in lines if line not in known)

    def is_own(self, file: Path) -> bool:
        """Whether that is a file of the outbox."""
        if file.parent.name == "translated":  # what delivery itself made of the file beside it
            file = file.parent.parent / file.name
        place = os.path.relpath(file, self.folder)
        is_there = os.path.lexists(file) and stat.S_ISREG(file.lstat().st_mode)
        return is_there and _FILE.fullmatch(place) is not None and file.name not in (".", "..")

    def _may_pass(self, record: Record) -> bool:
        return "file" not in record or self.is_own(self.folder / str(record["file"]))


def refusal() -> Answer:
    """The answer to what is not sent at all, as of a server that refuses it for good."""
    return Answer(400, json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": _WHY}))


def is_path(path: str) -> bool:
    """Whether it is a path on the server, and no other host."""
    return path.startswith("/") and path.isprintable()


def is_below(root: str | None, uri: str, folder: str) -> bool:
    """Whether a folder below the URI is behind the server, or below `root`, which the server named."""
    parts = urlsplit(uri)
    if ".." in (*re.split(r"[/\\]|%2[fF]", parts.path), *re.split(r"[/\\]", folder)) or folder.startswith(
        "/"
    ):
        return False
    if parts.scheme == "mlflow-artifacts" and not parts.netloc:
        return True
    return root is not None and uri.startswith(f"{root.rstrip('/')}/")
