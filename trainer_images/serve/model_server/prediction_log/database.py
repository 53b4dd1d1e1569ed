"""The file of the log: made, written, kept within its size."""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path

import orjson

from model_server.prediction_log import records, schema
from model_server.prediction_log.log import Asked
from model_server.served import Served

_REMOVE = """
DELETE FROM predictions WHERE number IN (
  SELECT number FROM predictions
  WHERE (request, position) NOT IN (SELECT request, position FROM labels) ORDER BY number LIMIT ?)
"""
_BUSY_S = 5
_AT_ONCE = 256
"""Rows of a statement. Each hands the interpreter to the thread that answers, and waits to get it back."""
_WAL_PAGES = 4000
"""Of 4 KB, before they go to the file itself: of what comes each moment, many are the same ones."""
_OLDEST = 20
"""One in as many goes at a time."""


@functools.cache
def _insert(count: int) -> str:
    row = f"({', '.join('?' * len(records.COLUMNS))})"
    return f"INSERT INTO predictions ({', '.join(records.COLUMNS)}) VALUES {', '.join([row] * count)}"  # noqa: S608 (no values)


class Unusable(Exception):
    """The log cannot be written, and why."""


class Database:
    """A connection, of the thread that has made it.

    All that is done with it raises `sqlite3.Error`, `OSError`, `Unusable`.
    """

    def __init__(self, folder: Path, *, limit: int, keeps_inputs: bool) -> None:
        """Open the file in `folder`, which is made where there is none. `limit` is in bytes."""
        self._path, self._limit, self._keeps_inputs = folder / schema.FILE, limit, keeps_inputs
        # SQLite's own files beside it get its mode.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._file = self._identity()
        self._models = dict[tuple[str, str, str], int]()
        self._connection = sqlite3.connect(
            self._path, timeout=_BUSY_S, isolation_level=None, cached_statements=32
        )
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        execute = self._connection.execute
        [application_id] = execute("PRAGMA application_id").fetchone()
        [version] = execute("PRAGMA user_version").fetchone()
        [tables] = execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application_id, version) != (schema.APPLICATION_ID, schema.VERSION) and tables:
            raise Unusable(f"{schema.FILE} is of another program, or of another version of trainer")
        # In a container that can write no other file, what a statement may have to undo is kept in memory.
        execute("PRAGMA temp_store = MEMORY")
        execute("PRAGMA auto_vacuum = INCREMENTAL")
        execute("PRAGMA journal_mode = WAL")
        # A crash of the machine may lose the last moments, and damages nothing.
        execute("PRAGMA synchronous = NORMAL")
        execute(f"PRAGMA journal_size_limit = {_WAL_PAGES * 4096}")
        execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        if not tables:
            with self._transaction():
                for statement in schema.TABLES.split(";"):
                    execute(statement)
                execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
                execute(f"PRAGMA user_version = {schema.VERSION}")

    def _identity(self) -> tuple[int, int]:
        found = self._path.stat()
        return found.st_dev, found.st_ino

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # it may be rolled back already
                self._connection.execute("ROLLBACK")
            raise

    def write(self, batch: Sequence[Asked]) -> None:
        """All of it, or nothing. What is beyond the limit goes first."""
        if self._identity() != self._file:  # else what is written would go to a file that nobody finds
            raise Unusable(f"{schema.FILE} was replaced")
        self._shrink()
        rows, inputs = list[records.Record](), list[records.Input]()
        by_model = sorted(batch, key=lambda asked: id(asked.served))
        for _, group in groupby(by_model, key=lambda asked: id(asked.served)):
            of_one = list(group)
            served = of_one[0].served
            more, given = records.of(self._model(served), served, of_one)
            rows += more
            inputs += given
        with self._transaction():
            for start in range(0, len(rows), _AT_ONCE):
                some = rows[start : start + _AT_ONCE]
                self._connection.execute(_insert(len(some)), list(chain.from_iterable(some)))
            if self._keeps_inputs:
                self._connection.executemany("INSERT OR IGNORE INTO inputs VALUES (?, ?, ?)", inputs)

    def _model(self, served: Served) -> int:
        name, called, digest = served.name, served.entry.called, served.predictor.version
        if (name, called, digest) not in self._models:
            description = served.predictor.description
            self._connection.execute(
                "INSERT OR IGNORE INTO models (digest, name, called, version, task, classes)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (digest, name, called, served.entry.version, description.task,
                 orjson.dumps(description.classes).decode()),
            )  # fmt: skip
            [self._models[name, called, digest]] = self._connection.execute(
                "SELECT model FROM models WHERE (name, called, digest) = (?, ?, ?)", (name, called, digest)
            ).fetchone()
        return self._models[name, called, digest]

    def _bytes(self) -> tuple[int, int]:
        """Of the file, and of what is in it."""
        pages, free, size = self._connection.execute(
            "SELECT page_count, freelist_count, page_size"
            " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        ).fetchone()
        return pages * size, (pages - free) * size

    def _shrink(self) -> None:
        """Remove the oldest until the limit is kept. What has a label stays: that is somebody's work."""
        while self._bytes()[1] > self._limit:
            with self._transaction():
                [count] = self._connection.execute("SELECT count(*) FROM predictions").fetchone()
                removed = self._connection.execute(_REMOVE, (max(1, count // _OLDEST),)).rowcount
                if self._connection.execute("SELECT 1 FROM inputs LIMIT 1").fetchone():
                    self._connection.execute(
                        "DELETE FROM inputs WHERE digest NOT IN (SELECT input FROM predictions)"
                    )
            if not removed:
                raise Unusable("the predictions that have labels are more than its limit (--log-limit)")
        # What is removed is room for what comes; the file itself shrinks only where its limit was made lower.
        if self._bytes()[0] > 1.25 * self._limit:
            self._connection.execute("PRAGMA incremental_vacuum").fetchall()

    def close(self) -> None:
        """All that was written is in the file itself."""
        self._connection.close()
