"""Records of a spool that one call of the tracking server's `log-batch` can say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from trainkit.spool.journal import Record, Spool
from trainkit.spool.responses import LOG_BATCH

# The API's limits of one log-batch call.
_MOST = {"metrics": 1000, "params": 100, "tags": 100}
_MOST_IN_ALL = 1000


def batches(spool: Spool) -> Iterator[tuple[list[Record], int]]:
    """The records that wait, those of `log-batch` for one run together, each list with the byte after it."""
    batch, last = _Batch(), spool.delivered()
    for entry in spool.entries(last):
        record = entry.record
        if batch.records and record is not None and not batch.takes(record):
            yield batch.records, last
            batch = _Batch()
        if record is not None:
            batch.add(record)
        last = entry.end
    # Without records too: torn lines at the end are done with.
    yield batch.records, last


class _Batch:
    """Records that one log-batch call can say. A parameter or tag is in it once: the order counts."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._sizes = dict.fromkeys(_MOST, 0)
        self._keys: set[tuple[str, object]] = set()

    def takes(self, record: Record) -> bool:
        first = self.records[0]
        if not first.get("path") == record.get("path") == LOG_BATCH:
            return False
        if cast(Record, first["body"])["run_id"] != cast(Record, record["body"])["run_id"]:
            return False
        sizes = {kind: size + len(_items(record, kind)) for kind, size in self._sizes.items()}
        fits = sum(sizes.values()) <= _MOST_IN_ALL and all(sizes[kind] <= _MOST[kind] for kind in _MOST)
        return fits and not self._keys & _keys(record)

    def add(self, record: Record) -> None:
        self.records.append(record)
        if record.get("path") == LOG_BATCH:
            self._keys |= _keys(record)
            for kind in _MOST:
                self._sizes[kind] += len(_items(record, kind))


def _keys(record: Record) -> set[tuple[str, object]]:
    return {(kind, item["key"]) for kind in ("params", "tags") for item in _items(record, kind)}


def _items(record: Record, kind: str) -> list[Record]:
    return cast(list[Record], cast(Record, record["body"]).get(kind) or [])


def merged(records: list[Record]) -> Record:
    """The body of one call for records that `batches` gave together."""
    run_id = cast(Record, records[0]["body"])["run_id"]
    return {"run_id": run_id, **{kind: [i for r in records for i in _items(r, kind)] for kind in _MOST}}
