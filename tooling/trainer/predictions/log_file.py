"""The file of a log, opened while its server may be writing it, or is stopped."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import FileError, InvalidInput
from trainer.predictions import places
from trainer.workspace.settings import Workspace

# As the server has them (model_server/prediction_log/schema.py).
APPLICATION_ID, VERSION = 0x74726C67, 1
_BUSY_S = 10


@dataclass(frozen=True)
class Log:
    """What the model that is served as `name` has answered."""

    name: str
    path: Path
    connection: sqlite3.Connection


@contextlib.contextmanager
def opened(workspace: Workspace, name: str | None = None) -> Iterator[list[Log]]:
    """Within: the log of that model, or of each that has one.

    Raises `InvalidInput` where the model has none, `FileError` where one cannot be read, or, within, written.
    """
    known = places.names(workspace)
    if name is not None and name not in known:
        hint = f"Those that have some: {', '.join(known)}." if known else "`trainer serve MODEL` logs them."
        raise InvalidInput(f"No predictions of {name} are logged.", hint)
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(_opened(each, places.folder(workspace, each) / places.FILE))
            for each in (known if name is None else [name])
        ]


@contextlib.contextmanager
def _opened(name: str, path: Path) -> Iterator[Log]:
    try:
        # Not made where it has gone meanwhile.
        with contextlib.closing(
            sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=_BUSY_S, isolation_level=None
            )
        ) as connection:
            connection.row_factory = sqlite3.Row
            [application_id] = connection.execute("PRAGMA application_id").fetchone()
            [version] = connection.execute("PRAGMA user_version").fetchone()
            if (application_id, version) != (APPLICATION_ID, VERSION):
                raise FileError(
                    f"{path} is no prediction log that this version of trainer reads.",
                    "Update trainer, or move the file elsewhere.",
                )
            yield Log(name, path, connection)
    except sqlite3.Error as error:
        raise FileError(
            f"The prediction log {path} cannot be read or written: {error}.",
            "See its permissions and the disk; a damaged file can be moved elsewhere.",
        ) from None
