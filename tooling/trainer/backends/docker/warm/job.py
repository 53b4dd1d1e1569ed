"""A run as a process in a container that other runs have before and after it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from trainer import locks
from trainer.backends import written_files
from trainer.backends.base import JobResult, JobState, read_result
from trainer.backends.docker import containers
from trainer.backends.docker.config import GRACE_S
from trainer.backends.docker.job import PATIENCE_S, State
from trainer.backends.docker.warm.place import Place, opened
from trainer.engine import daemon
from trainer.errors import EngineError
from trainer.host import cores
from trainer.workspace import run_folder
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

_POLL_S = 0.05
_LOOK_S = 1.0
"""How often the engine is asked whether the container is there."""
_PIECE = 1 << 16
_LATE_S = 3


class _Found(TypedDict):
    place: str
    container: str


class WarmJob:
    """The process that was forked for one run. When it has ended, all it wrote lies in the run's folder."""

    def __init__(self, client: docker.DockerClient, run_id: str, folder: RunFolder) -> None:
        found = cast(_Found, json.loads(folder.job_warm.read_text()))
        self._client, self._run_id, self._folder = client, run_id, folder
        self._place, self._container = Place(Path(found["place"])), found["container"]
        self._looked_at = 0.0
        self._ended: JobResult | None = None

    @property
    def container(self) -> str:
        """The name of the one that it is in."""
        return self._container

    def follow(self) -> Iterator[bytes]:
        """Its output as it grows."""
        read, deadline = 0, None
        while True:
            try:
                ended = self.end() is not None
                deadline = None
            except EngineError:  # it may be restarting
                ended, deadline = False, deadline or time.monotonic() + PATIENCE_S
                if time.monotonic() > deadline:
                    raise
            for piece in self._read(read):
                read += len(piece)
                yield piece
            if ended:
                return
            time.sleep(_POLL_S)

    def output(self) -> Iterator[bytes]:
        """Its output so far."""
        return self._read(0)

    def _read(self, start: int) -> Iterator[bytes]:
        # It is moved at the end: where it is not in the one place, it is in the other.
        own = self._folder.job_output
        path = own if self._place.occupant() != self._run_id else self._place.exchange / own.name
        with contextlib.suppress(OSError), opened(own if own.exists() else path) as descriptor:
            os.lseek(descriptor, start, os.SEEK_SET)
            yield from iter(lambda: os.read(descriptor, _PIECE), b"")

    def end(self) -> JobResult | None:
        """How it ended; without a result where its container ended, or is gone, before it did."""
        self._ended = self._ended or self._result() or self._seen_to_end()
        return self._ended

    def _seen_to_end(self) -> JobResult | None:
        is_here = self._place.occupant() == self._run_id
        if is_here and self._place.is_answered("result"):
            self._place.move_out(self._run_id, self._folder)
            return self._result() or JobResult(None)
        if time.monotonic() < self._looked_at + _LOOK_S:
            return None
        cut_off = self._cut_off()
        self._looked_at = time.monotonic()
        if cut_off is None:  # the container goes on, perhaps with another run
            return None if is_here else self._result() or JobResult(None)
        self._place.move_out(self._run_id, self._folder)
        return self._result() or cut_off  # it may have ended in between

    def _result(self) -> JobResult | None:
        with contextlib.suppress(OSError, ValueError):
            if result := read_result((written := self._folder.job_result).read_text()):
                return JobResult(
                    result[0],
                    self._folder.job_out_of_memory.exists(),
                    result[1],
                    at=written.stat().st_mtime,
                )
        return None

    def _cut_off(self) -> JobResult | None:
        """How the container ended; None while it runs."""
        from docker.errors import NotFound

        with daemon.failures():
            try:
                state = cast(State, self._client.api.inspect_container(self._container)["State"])
            except NotFound:
                return JobResult(None)
        if state["Status"] not in ("exited", "dead"):
            return None
        at = datetime.fromisoformat(state["FinishedAt"]).timestamp()
        return JobResult(state["ExitCode"], state["OOMKilled"], recorded=False, at=at)

    def fetch(self, folder: RunFolder) -> None:  # noqa: ARG002 (it is the run's own)
        """It is, as soon as its end is seen."""
        self.end()

    def written(self) -> dict[str, int]:
        """What it left where it ran."""
        return written_files.sizes(self._folder.job_code)

    def bring(self, path: str, folder: Path) -> Path | None:  # noqa: ARG002 (it is on this machine)
        """The file itself."""
        file = self._folder.job_code / path
        return file if file.exists() else None

    def stop(self) -> None:
        """SIGINT to its whole group, SIGKILL after the grace period; the container with it if all fails."""
        from docker.errors import APIError

        if self.end() is not None:
            return
        with contextlib.suppress(OSError):
            self._place.tell("stop")
        if self._ends_within(GRACE_S + _LATE_S):
            return
        with daemon.failures(), contextlib.suppress(APIError):
            self._client.api.kill(self._container)
        self._looked_at = 0.0
        self._ends_within(_LATE_S)

    def _ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.end() is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def remove(self) -> None:
        """End it, and leave its container to the next run, if anybody is there to start one."""
        self.stop()
        if not locks.held(self._place.held):
            remove(self._client, self._container, self._place)


def states(
    client: docker.DockerClient, workspace: Workspace, records: Iterable[Record], *, of_all: bool
) -> list[JobState]:
    """Those of these runs whose jobs are such processes. What one uses is what its container does.

    With `of_all`, also the sweeps of other workspaces that have such containers, each as one job.
    """
    folders = [(record, run_folder.of(workspace, record.run_id)) for record in records]
    warm = [(record, folder) for record, folder in folders if folder.job_warm.exists()]
    there = containers.within_moments(containers.of_runs_below) if warm or of_all else {}
    found = []
    for record, folder in warm:
        job = WarmJob(client, record.run_id, folder)
        seen = there.get(job.container) if (is_running := job.end() is None) else None
        found.append(
            replace(seen, record=record) if seen else JobState(record, workspace.identity, is_running)
        )
    others: dict[str, list[JobState]] = {}
    for slot in there.values():
        if of_all and slot.running and slot.workspace != workspace.identity:
            others.setdefault(slot.record.run_id, []).append(slot)
    return found + [_together(slots) for slots in others.values()]


def _together(slots: list[JobState]) -> JobState:
    """The containers of one sweep."""
    return replace(
        slots[0],
        memory=sum(slot.memory or 0 for slot in slots),
        cpus=sum(slot.cpus or 0 for slot in slots),
        cpu_seconds=sum(slot.cpu_seconds or 0 for slot in slots),
        measured_at=max(slot.measured_at for slot in slots),
        cores=cores.written(sorted(number for slot in slots for number in cores.read(slot.cores))),
        gpus=tuple(gpu for slot in slots for gpu in slot.gpus),
    )


def remove(client: docker.DockerClient, container: str, place: Place) -> None:
    """Remove the container and its folder. What a run has there is moved out by then."""
    from docker.errors import APIError

    with daemon.failures(), contextlib.suppress(APIError):
        client.api.remove_container(container, force=True, v=True)
    if place.occupant() is None:
        shutil.rmtree(place.path, ignore_errors=True)
