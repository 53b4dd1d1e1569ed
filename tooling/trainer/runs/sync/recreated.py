"""A run that its server does not have any more, created there again from what is on this disk.

Its spool becomes one of a run that no server has heard of: the journal, which is kept until the run has been
delivered, begins with creating it, and is delivered from its beginning. Files that the server had, and the
values of a run before it was resumed, are not on this disk.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from typing import cast

from trainkit.spool.journal import Record, Spool
from trainkit.spool.names import OFFLINE, OFFLINE_TAG, translated
from trainkit.spool.responses import LOG_BATCH

from trainer.errors import DiskFull
from trainer.runs import run_record, stored_code
from trainer.tracking import run_tags, spool_guard, spool_owner
from trainer.tracking.client import TRAINING_VIEW
from trainer.tracking.spool_guard import GuardedSpool
from trainer.tracking.spool_records import is_sound
from trainer.workspace.run_folder import RunFolder

_MADE = "its server had lost it"
_LONG = 32  # characters of an id


def prepare(folder: RunFolder) -> None:
    """Have the next delivery of the run in this folder create it. Its job has ended.

    Whoever is interrupted in between calls it again. Raises `DiskFull`.
    """
    spool = GuardedSpool(folder.spool)
    spool_guard.clean(folder)
    try:
        _prepare(spool, folder)
    except OSError as error:
        raise DiskFull(f"The spool {spool.folder} cannot be used: {error}", "Make space there.") from None


def _prepare(spool: GuardedSpool, folder: RunFolder) -> None:
    run = spool.run()
    recreation = _Recreation(spool, run)
    shutil.rmtree(folder.recreated, ignore_errors=True)
    new = Spool(folder.recreated)
    new.folder.mkdir()
    for record in recreation.records():
        new.append(record)
    for file, artifact in ((folder.source, stored_code.ARTIFACT), (folder.run_record, run_record.ARTIFACT)):
        folder_name, _, file_name = artifact.rpartition("/")
        if file.exists() and (folder_name, file_name) not in recreation.kept:
            new.append({"file": spool.keep(file, file_name), "uri": recreation.uri, "path": folder_name})
    # In this order: until the last step the run counts as lost.
    for stale in ("delivered", "stored", "refused", "marked"):
        (spool.folder / stale).unlink(missing_ok=True)
    new.journal.replace(spool.journal)
    (spool.folder / "names.json").unlink(missing_ok=True)
    spool.create(recreation.run)
    spool_owner.keep(folder)
    shutil.rmtree(new.folder)


class _Recreation:
    """The journal of a run as it would be if no server had been there."""

    def __init__(self, spool: GuardedSpool, run: Record) -> None:
        self._spool = spool
        info = dict(cast(Mapping[str, object], run["info"]))
        experiment = dict(cast(Mapping[str, object], run.get("experiment") or {"name": "Default"}))
        self._id, before = str(info["run_id"]), str(info["artifact_uri"])
        names = spool.names()
        self._experiments = {str(info["experiment_id"]), names.get(str(info["experiment_id"]), "")}
        self._was_made = before.startswith(OFFLINE)
        self._experiment = str(info["experiment_id"]) if self._was_made else uuid.uuid4().hex
        self.uri = before if self._was_made else _address(self._id)
        # What the server called a thing has its made-up name again. An experiment's id is too short for that.
        self._names = {
            server_name: local
            for local, server_name in names.items()
            if len(server_name) >= _LONG and server_name not in local
        }
        self._names[before] = self.uri
        info |= {"artifact_uri": self.uri, "experiment_id": self._experiment}
        experiment["experiment_id"] = self._experiment
        self.run: Record = {**run, "info": info, "experiment": experiment}
        self.kept = set[tuple[str, str]]()
        """Folder and name of the files that are on this disk."""

    def records(self) -> Iterator[Record]:
        entries = [entry.record for entry in Spool.entries(self._spool) if entry.record is not None]
        if not any(record.get("create") == "run" and record.get("local") == self._id for record in entries):
            yield from self._made()
        lost = 0
        for record in entries:
            if not is_sound(record):
                yield record  # delivery says what becomes of it
            elif "file" not in record:
                yield self._of(record)
            elif self._spool.is_own(self._spool.folder / str(record["file"])):
                self.kept.add((str(record["path"]), str(record["file"]).rpartition("/")[2]))
                yield self._of(record)
            else:
                lost += 1
        remark = f"{_MADE}, and {lost} of its files with it" if lost else _MADE
        yield self._batch("tags", [{"key": run_tags.RECREATED, "value": remark}])

    def _made(self) -> Iterator[Record]:
        info, data = (cast(Record, self.run[name]) for name in ("info", "data"))
        body = {"name": cast(Record, self.run["experiment"])["name"], "tags": [TRAINING_VIEW]}
        yield {"create": "experiment", "local": self._experiment, "body": body}
        yield self._created("run", self._id, self.uri, info, cast(list[Record], data.get("tags") or []))
        if parameters := data.get("params"):
            yield self._batch("params", cast(list[Record], parameters))

    def _of(self, record: Record) -> Record:
        kind = record.get("known")
        record_translated = translated(record, self._names)
        if kind == "run":
            run = cast(Record, record_translated["run"])
            info, data = (cast(Record, run.get(name) or {}) for name in ("info", "data"))
            run_id = str(info["run_id"])
            self._names[str(info.get("artifact_uri"))] = uri = _address(run_id)
            return self._created("run", run_id, uri, info, cast(list[Record], data.get("tags") or []))
        if kind == "model":
            model = cast(Record, record_translated["model"])
            info, data = (cast(Record, model.get(name) or {}) for name in ("info", "data"))
            model_id = str(info["model_id"])
            self._names[str(info.get("artifact_uri"))] = uri = _address(model_id)
            created = self._created("model", model_id, uri, info, cast(list[Record], info.get("tags") or []))
            cast(Record, created["body"])["params"] = data.get("params") or []
            return created
        body = record_translated.get("body")
        if isinstance(body, dict) and body.get("experiment_id") in self._experiments:
            body["experiment_id"] = self._experiment
        return record_translated

    def _created(self, kind: str, local: str, uri: str, info: Record, tags: list[Record]) -> Record:
        fields = {
            "run": ("run_name", "user_id", "start_time"),
            "model": ("name", "model_type", "source_run_id"),
        }[kind]
        body = {name: info[name] for name in fields if info.get(name) is not None}
        body["experiment_id"] = self._experiment
        body["tags"] = [
            *(tag for tag in tags if tag.get("key") != OFFLINE_TAG), {"key": OFFLINE_TAG, "value": local},
        ]  # fmt: skip
        return {"create": kind, "local": local, "uri": uri, "body": body}

    def _batch(self, kind: str, pairs: list[Record]) -> Record:
        return {"method": "POST", "path": LOG_BATCH, "body": {"run_id": self._id, kind: pairs}}


def _address(local: str) -> str:
    return f"{OFFLINE}{local}/artifacts"
