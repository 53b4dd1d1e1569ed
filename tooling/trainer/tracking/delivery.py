"""The spool of a run as the host sees it: what the launcher itself writes down, and bringing the rest.

The launcher's own words about a run (parameters, code, log, final status) take the same way as what the run
logs: into the journal first, then to the server, in order. docs/reliability.md says what that promises.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trainkit.spool.delivery import Delivery
from trainkit.spool.journal import Record, Spool, SpoolError
from trainkit.spool.launcher_records import is_proxied, waiting
from trainkit.spool.names import OFFLINE, OFFLINE_TAG
from trainkit.spool.responses import API, LOG_BATCH, NoResponse, RecordFailed, ServerUnavailable
from trainkit.spool.view import View

from trainer.counted import counted
from trainer.errors import DiskFull, InvalidInput, TrackingError
from trainer.tracking import run_tags, spool_guard, spool_owner, spool_replay
from trainer.tracking.client import LONGEST_VALUE, TRAINING_VIEW, Client, Run, Status, dataset_inputs, page
from trainer.tracking.endpoint import Server
from trainer.tracking.spool_guard import GuardedSpool, SoundSpool
from trainer.tracking.transport import HostTransport
from trainer.workspace.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.datasets.inputs import Data

_BATCH = 100
_STUCK_PAUSE_S = 0.5
_PATIENCE_S = 10


@dataclass(frozen=True)
class Pending:
    """What of a run is on this disk alone."""

    points: int
    files: int
    others: int
    refused: int = 0

    def __bool__(self) -> bool:
        """Whether anything is."""
        return bool(self.points or self.files or self.others)

    def __str__(self) -> str:
        """`30 points, 2 files`."""
        counts = {"point": self.points, "file": self.files, "other record": self.others}
        return ", ".join(counted(number, noun) for noun, number in counts.items() if number) or "nothing"


class DeliveryPending(TrackingError):
    """The server does not take what is left of a run; it stays on this disk.

    `answers` is whether it says anything at all: then it may well take what other runs left.
    """

    def __init__(self, pending: Pending, why: str, *, answers: bool = False) -> None:
        when = "it takes them" if answers else "the server answers"
        super().__init__(
            f"Of this run, {pending} are on this disk alone: {why}",
            f"Nothing is lost: `trainer sync` brings them when {when}.",
        )
        self.pending = pending
        self.answers = answers


class RunMissing(DeliveryPending):
    """The server does not have the run any more: it was deleted there for good, or its store was replaced."""

    def __init__(self, uri: str, run_id: str, pending: Pending) -> None:
        super().__init__(pending, "", answers=True)
        self.message = (
            f"The run {run_id[:8]} is not on {uri} any more: it was deleted there, or the server's store was "
            f"replaced. {str(pending).capitalize()} of it are on this disk alone."
        )
        self.hint = f"To create it there again, from this disk: trainer sync {run_id[:8]} --recreate"


class SpoolWriter:
    """The calls of a tracking client that a launch makes, written down for delivery instead of made.

    Every method raises `DiskFull`.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._spool = Spool(folder.spool)

    def begin(
        self, run: Run, experiment: str, tags: Mapping[str, str], parameters: Mapping[str, str]
    ) -> None:
        """Make the spool of a run that the server knows, of the experiment of that name."""
        with _failures():
            self._spool.create(_as_json(run, experiment, tags, parameters))
            spool_owner.keep(self._folder)
            if not is_proxied(run.artifact_uri):
                self._spool.leave_artifacts()

    def begin_offline(self, experiment: str, name: str | None, tags: Mapping[str, str]) -> None:
        """Make the spool of a run that no server knows, and write down that it is to be made."""
        local, experiment_id = uuid.uuid4().hex, uuid.uuid4().hex
        uri = f"mlflow-artifacts:/offline/{local}/artifacts"
        run = Run(local, experiment_id, name or f"offline-{local[:8]}", "RUNNING", uri)
        payload = _as_json(run, experiment, tags, {})
        info = cast(dict[str, object], payload["info"])
        body = {
            "experiment_id": run.experiment_id, "run_name": run.name, "user_id": info["user_id"],
            "start_time": info["start_time"], "tags": run_tags.pairs({**tags, OFFLINE_TAG: run.id}),
        }  # fmt: skip
        experiment_body = {"name": experiment, "tags": [TRAINING_VIEW]}
        with _failures():
            self._spool.create(payload)
            spool_owner.keep(self._folder)
            self._spool.append({"create": "experiment", "local": run.experiment_id, "body": experiment_body})
            self._spool.append({"create": "run", "local": run.id, "uri": uri, "body": body})

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """As the client's: a value longer than the server takes is cut."""
        self._batch(run_id, "params", _pairs({k: v[:LONGEST_VALUE] for k, v in parameters.items()}))

    def log_inputs(self, run_id: str, data: Iterable[Data]) -> None:
        """As the client's."""
        if inputs := dataset_inputs(data):
            body = {"run_id": run_id, "datasets": inputs}
            with _failures():
                self._spool.append({"method": "POST", "path": f"{API}/runs/log-inputs", "body": body})

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """As the client's."""
        self._batch(run_id, "tags", run_tags.pairs(tags))

    def end_run(self, run_id: str, status: Status, at: float | None = None) -> None:
        """As the client's; the end is `at` (seconds since 1970), else now, whenever it is delivered.

        Another machine's clock does not put it into the future, or before the run's start.
        """
        start = int(str(cast(Record, self._spool.run()["info"])["start_time"]))
        end = _now_ms() if at is None else min(max(int(at * 1000), start), _now_ms())
        body = {"run_id": run_id, "status": status, "end_time": end}
        with _failures():
            self._spool.append({"method": "POST", "path": f"{API}/runs/update", "body": body})

    def upload(self, run: Run, path: Path, artifact_path: str) -> None:  # noqa: ARG002 (as the client's)
        """As the client's, of the file as it is now."""
        folder, _, name = artifact_path.rpartition("/")
        uri = str(cast(Record, self._spool.run()["info"])["artifact_uri"])
        with _failures():
            self._spool.append({"file": self._spool.keep(path, name), "uri": uri, "path": folder})

    def _batch(self, run_id: str, kind: str, pairs: Sequence[Mapping[str, object]]) -> None:
        for start in range(0, len(pairs), _BATCH):
            body = {"run_id": run_id, kind: pairs[start : start + _BATCH]}
            with _failures():
                self._spool.append({"method": "POST", "path": LOG_BATCH, "body": body})


def exists(folder: RunFolder) -> bool:
    """Whether the run in this folder has a spool."""
    return (folder.spool / "run.json").exists()


def deliver(client: Client, folder: RunFolder, progress: Callable[[int, int], None] | None = None) -> None:
    """Deliver what is left of the run in this folder; a second call finds nothing to do.

    Raises `DeliveryPending` when the server does not take everything, and when somebody else is delivering.
    """
    spool = GuardedSpool(folder.spool)
    if not spool.folder.exists():
        return
    spool_guard.clean(folder)
    lock = _lock(spool)
    if lock is None:
        raise DeliveryPending(pending(folder), "another process delivers them just now.")
    try:
        transport = HostTransport(client, spool)
        spool_owner.check(spool, transport)
        if not spool_owner.is_known(spool, transport):
            raise RunMissing(client.server.uri, folder.path.name, pending(folder))
        spool_replay.prepare(spool, folder)
        spool.set_aside()
        delivery = Delivery(spool, transport)
        while True:
            try:
                delivery.deliver(progress)
                return
            except RecordFailed:  # it says ServerUnavailable when it has tried often enough
                time.sleep(_STUCK_PAUSE_S)
    except ServerUnavailable as error:
        why = str(error)
        why = why if why.endswith(".") else f"{why}."
        raise DeliveryPending(pending(folder), why, answers=not isinstance(error, NoResponse)) from None
    except OSError as error:
        raise DiskFull(f"The spool {spool.folder} cannot be used: {error}", "Make space there.") from None
    finally:
        os.close(lock)


def pending(folder: RunFolder) -> Pending:
    """What of the run in this folder the server does not have."""
    spool = SoundSpool(folder.spool)
    points = files = other_records = 0
    for entry in waiting(spool):
        if entry.record is None or "known" in entry.record:
            continue
        metrics = cast(list[object], cast(Record, entry.record.get("body") or {}).get("metrics") or [])
        points += len(metrics)
        files += "file" in entry.record
        other_records += "file" not in entry.record and not metrics
    return Pending(points, files, other_records, spool.refused())


def known_run(server: Server, folder: RunFolder) -> Run:
    """The run as its spool knows it, by the id that the server has for it, if any; `InvalidInput` if torn."""
    try:
        return _known_run(server, SoundSpool(folder.spool))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"What {folder.path} holds of its run cannot be read: {type(error).__name__}: {error}",
            "Another version of trainer wrote it, or it is torn. It is left as it is.",
        ) from None


def _known_run(server: Server, spool: Spool) -> Run:
    names = spool.names()
    made_up = str(cast(Record, spool.run()["info"])["run_id"])
    payload = View(spool).run(made_up)
    if payload is None:
        raise RuntimeError("a spool knows its own run")
    info, data = cast(Mapping[str, str], payload["info"]), cast(Mapping[str, list[Record]], payload["data"])
    experiment_id = names.get(info["experiment_id"], info["experiment_id"])
    run_id = names.get(made_up, made_up)
    is_there = made_up in names or not info["artifact_uri"].startswith(OFFLINE)
    return Run(
        id=run_id,
        experiment_id=experiment_id,
        name=info.get("run_name", ""),
        status=info["status"],
        artifact_uri=names.get(info["artifact_uri"], info["artifact_uri"]),
        metrics={str(metric["key"]): float(str(metric["value"])) for metric in data["metrics"]},
        url=page(server, experiment_id, run_id) if is_there else "",
    )


def _lock(spool: Spool) -> int | None:
    """Wait a moment for the sender of a job that has just ended."""
    deadline = time.monotonic() + _PATIENCE_S
    while (lock := spool.sending()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return lock


def _as_json(
    run: Run, experiment: str, tags: Mapping[str, str], parameters: Mapping[str, str]
) -> dict[str, object]:
    """What a spool says of its run to begin with, in the form of MLflow's REST API."""
    info = {
        "run_id": run.id, "run_uuid": run.id, "experiment_id": run.experiment_id, "run_name": run.name,
        "user_id": tags.get(run_tags.USER, ""), "status": "RUNNING", "start_time": _now_ms(),
        "artifact_uri": run.artifact_uri, "lifecycle_stage": "active",
    }  # fmt: skip
    return {
        "info": info,
        "data": {"tags": run_tags.pairs(tags), "params": _pairs(parameters)},
        "experiment": {
            "experiment_id": run.experiment_id, "name": experiment, "lifecycle_stage": "active",
        },
    }  # fmt: skip


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _now_ms() -> int:
    return int(time.time() * 1000)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (SpoolError, OSError) as error:
        raise DiskFull(
            str(error), "Make space on the disk that holds the workspace, then try again."
        ) from None
