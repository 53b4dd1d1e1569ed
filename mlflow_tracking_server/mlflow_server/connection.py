"""A database that answers, and the lock that lets one release at a time at it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from mlflow_server import storage
from mlflow_server.database_url import SQLITE
from mlflow_server.refusal import Refusal

WAIT_S = 30
LOCK = 7_355_608  # of this program's releases, among all advisory locks of the database


def connect(url: str) -> Engine:
    """An engine whose database answers; waits for one that is starting."""
    arguments = {"connect_timeout": 10}
    if url.startswith(SQLITE):
        _prepare_file(Path(url.removeprefix(SQLITE)))
        arguments = {}
    engine = sqlalchemy.create_engine(url, connect_args=arguments, poolclass=sqlalchemy.NullPool)
    give_up = time.monotonic() + WAIT_S
    while True:
        try:
            engine.connect().close()
        except OperationalError as error:
            reason = str(error.orig).strip()
            # FATAL is the database's own answer: to ask again would not change it, unless it is starting up.
            final = "FATAL" in reason and "starting up" not in reason
            if final or time.monotonic() > give_up:
                raise Refusal(f"The database does not answer: {reason}.", "Check DATABASE_URL.") from None
            time.sleep(0.5)
        else:
            return engine


@contextmanager
def alone(engine: Engine) -> Iterator[None]:
    """Hold the lock; it ends with the process, however that ends."""
    if engine.dialect.name == "sqlite":
        with Path(f"{engine.url.database}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()  # the lock is the session's; an open transaction would keep old rows alive
        yield


def _prepare_file(path: Path) -> None:
    storage.prepare(path.absolute().parent)
    try:
        path.open("ab").close()
    except OSError as error:
        raise Refusal(
            f"The database {path} cannot be written: {error.strerror}.", "Give it to the server's own uid."
        ) from None
