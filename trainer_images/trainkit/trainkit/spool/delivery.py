"""Bringing a spool to the tracking server: in order, once, whoever was killed when.

What a record says is sent as it is, so a repetition is harmless where MLflow's server takes it so: a point
equal in key, step, timestamp and value is stored once, tags and parameters are set. What the server would
take twice (a new run, a model of a run's outputs) is looked for first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast
from urllib.parse import quote, urlsplit

from trainkit.spool import existing, refusals
from trainkit.spool import models as spool_models
from trainkit.spool.batches import batches, merged
from trainkit.spool.journal import Record, Spool
from trainkit.spool.launcher_records import is_for_launcher, is_proxied, waiting
from trainkit.spool.names import OFFLINE, replaced, translated
from trainkit.spool.responses import (
    API,
    LOG_BATCH,
    ConnectionDropped,
    RecordFailed,
    Response,
    ServerUnavailable,
    Transport,
    check,
    error_code,
    is_full,
    why,
)

UNDELIVERED_TAG = "trainer.undelivered"
_UNDELIVERED = "some of this run is still on the disk it ran on"
# MLflow's own client sends larger files in parts, where the server can do that.
_LARGE = 500 * 1024 * 1024
_LARGEST_MODEL_FILE = 1 << 24  # bytes: a description, which is read as a whole
_TRIES = 5


class Delivery:
    """What brings one spool to one server. The caller holds `Spool.sending`."""

    def __init__(self, spool: Spool, transport: Transport) -> None:
        self._spool = spool
        self._transport = transport
        self._names = spool.names()
        self._leaves = spool.leaves_artifacts and not transport.is_launchers
        self._stuck = (0, 0)
        self._refused: list[object] = []

    def deliver(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Send everything. Raises `ServerUnavailable` when the server takes no more; what it took is kept."""
        mark = self._spool.folder / "marked"
        try:
            try:
                self._deliver(mark, progress)
            except ConnectionDropped:  # on a fresh connection: to repeat what was sent is harmless
                self._deliver(mark, progress)
        except ServerUnavailable:
            mark.touch()
            raise

    def _deliver(self, mark: Path, progress: Callable[[int, int], None] | None) -> None:
        try:
            total = self._spool.journal.stat().st_size
        except FileNotFoundError:
            return
        is_marked = False
        if self._spool.leaves_artifacts and not self._leaves:
            self._deliver_what_was_left()
        for records, end in batches(self._spool):
            if mark.exists() and not is_marked:
                is_marked = self._tag(UNDELIVERED_TAG, _UNDELIVERED) or self._is_unmade()
            self._send_all(records, end)
            if end > self._spool.delivered():
                self._acknowledge(end)
            for record in records:
                self._forget(record)
            if progress:
                progress(end, total)
        if mark.exists():
            self._untag(UNDELIVERED_TAG)
            mark.unlink(missing_ok=True)

    def _deliver_what_was_left(self) -> None:
        delivered = self._spool.delivered()
        for entry in waiting(self._spool):
            if entry.end > delivered:
                return
            if entry.record is not None:
                try:
                    self._send(entry.record, entry.end)
                except ServerUnavailable:  # the store perhaps, and not the server
                    self._tag(UNDELIVERED_TAG, _UNDELIVERED)
                    raise
                self._spool.acknowledge_stored(entry.end)
                self._forget(entry.record)

    def _acknowledge(self, end: int) -> None:
        if self._spool.leaves_artifacts and not self._leaves:
            self._spool.acknowledge_stored(end)  # first: it counts as far as the other one
        self._spool.acknowledge(end)

    def _is_left(self, record: Record) -> bool:
        return self._leaves and is_for_launcher(record)

    def _send_all(self, records: list[Record], end: int) -> None:
        if len(records) > 1:
            response = self._post(LOG_BATCH, translated(merged(records), self._names))
            if response.status == 200:
                check(response)
                return
            # One of them may be what it does not take: then the others are not to suffer.
        for record in records:
            self._send(record, end)

    def _send(self, record: Record, end: int) -> None:
        if "known" in record or self._is_left(record) or spool_models.is_needless(record, self._names):
            return
        meant = translated(record, self._names)
        if refusals.is_of_unmade(meant, self._names):
            response = refusals.OF_UNMADE
        elif "create" in meant:
            try:
                self._create(meant, str(record["local"]))
                return
            except existing.NotCreated as error:
                if self._is_of_all(record):
                    raise
                response = error.response
        elif "file" in meant:
            response = self._upload(meant, spool_models.model_uri(record, self._names))
        else:
            body = existing.without(self._transport, meant)
            if body is None:
                return
            response = self._transport.send(str(meant["method"]), str(meant["path"]), body)
        self._judge(record, response, end)
        if "create" in record:  # and was refused: what is said of it from now on goes to nobody
            names = refusals.unmade(record)
            self._spool.name(names)
            self._names |= names

    def _is_of_all(self, record: Record) -> bool:
        """Whether nothing can be delivered without what this record makes."""
        made_up = cast(Mapping[str, str], self._spool.run()["info"])["run_id"]
        return record["create"] == "experiment" or record["local"] == made_up

    def _judge(self, record: Record, response: Response, end: int) -> None:
        if response.status in (200, 204):
            check(response)
            return
        code = error_code(response)
        deletes = record.get("method") == "DELETE" or str(record.get("path")).endswith("/delete-tag")
        if deletes and code == "RESOURCE_DOES_NOT_EXIST":
            return
        if not refusals.is_judged(response) and not refusals.is_lasting(response):
            if code is None or response.status in (401, 429, 503, 504) or is_full(response.text):
                raise ServerUnavailable(why(response))
            at, tries = self._stuck
            self._stuck = (end, tries + 1 if at == end else 1)
            if self._stuck[1] < _TRIES:
                raise RecordFailed(why(response))
        if not self._mark(record, response):  # then it takes nothing of this run, and not this alone
            raise ServerUnavailable(why(response))
        self._set_aside(record, response)

    def _mark(self, record: Record, response: Response) -> bool:
        """Whether the server takes a tag that says what of the run it refused."""
        texts = (refusals.reason(self._spool, record, response)[:500], refusals.WITHOUT_REASON)
        try:
            return any(self._tag(refusals.REFUSED_TAG, text) for text in texts)
        except ServerUnavailable:
            return False

    def _set_aside(self, record: Record, response: Response) -> None:
        """Keep what the server will not take, on this disk, and go on."""
        self._refused.append(record.get("file"))
        refusals.keep(self._spool, record, response)

    def _create(self, record: Record, local: str) -> None:
        """Make what was made up while the server was away, unless an earlier try has made it."""
        if local in self._names:
            return
        info = cast(Mapping[str, str], self._spool.run()["info"])
        names = existing.create(self._transport, record, local, info, self.run_id)
        self._spool.name(names)
        self._names |= names

    def _upload(self, record: Record, uri: str | None) -> Response:
        """Store a file; `uri` is what a model that it is of is called on a server without logged models."""
        file = self._spool.folder / str(record["file"])
        is_model = file.name == "MLmodel" and file.stat().st_size <= _LARGEST_MODEL_FILE
        if is_model and self._names:  # which says by itself what model it is
            text = replaced(file.read_text("utf-8", "surrogateescape"), self._names)
            if uri:
                text = spool_models.described(text, uri)
                self._show(spool_models.logged(text, uri))
            named = file.parent / "translated" / file.name
            named.parent.mkdir(exist_ok=True)
            named.write_text(text, "utf-8", "surrogateescape")
            file = named
        parts = urlsplit(str(record["uri"]))
        folder = str(record["path"])
        if not is_proxied(str(record["uri"])) or parts.netloc or file.stat().st_size >= _LARGE:
            return self._transport.store(str(record["uri"]), folder, file)
        path = "/".join(filter(None, [parts.path.strip("/"), folder, file.name]))
        quoted = quote(path, errors="surrogatepass")
        return self._transport.send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{quoted}", file=file)

    def _show(self, record: Record | None) -> None:
        """Have MLflow's page show a model; that it is refused is no failure, as it is none for MLflow 2."""
        body = existing.without(self._transport, record) if record else None
        if body is not None:
            response = self._post(spool_models.LOG_MODEL, body)
            if response.status in (401, 429, 502, 503, 504):
                raise ServerUnavailable(why(response))

    def _forget(self, record: Record) -> None:
        if "file" in record and record["file"] not in self._refused and not self._is_left(record):
            path = self._spool.folder / str(record["file"])
            for file in (path, path.parent / "translated" / path.name):
                file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                (path.parent / "translated").rmdir()
            with contextlib.suppress(OSError):
                path.parent.rmdir()

    @property
    def run_id(self) -> str:
        """The run as the server calls it; its made-up id as long as the server has not heard of it."""
        info = cast(Mapping[str, str], self._spool.run()["info"])
        return self._names.get(info["run_id"], info["run_id"])

    def _tag(self, key: str, value: str) -> bool:
        response = self._post(f"{API}/runs/set-tag", {"run_id": self.run_id, "key": key, "value": value})
        return response.status == 200  # a run that is not made yet is marked after its creation

    def _is_unmade(self) -> bool:
        """Whether the run is still to be created; raises `ServerUnavailable` for one that was lost there."""
        response = self._transport.send("GET", f"{API}/runs/get", query={"run_id": self.run_id})
        info = cast(Mapping[str, str], self._spool.run()["info"])
        is_made = info["run_id"] in self._names or not info["artifact_uri"].startswith(OFFLINE)
        if is_made and error_code(response) == "RESOURCE_DOES_NOT_EXIST":
            raise ServerUnavailable(why(response))
        return False

    def _untag(self, key: str) -> None:
        response = self._post(f"{API}/runs/delete-tag", {"run_id": self.run_id, "key": key})
        if response.status != 200 and error_code(response) not in refusals.CODES:
            raise ServerUnavailable(why(response))

    def _post(self, path: str, body: object) -> Response:
        return self._transport.send("POST", path, body)
