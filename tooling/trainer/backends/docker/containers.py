"""The containers of runs that the engine has, of any workspace: they are known by their labels."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from trainer import concurrency
from trainer.backends.base import JobState
from trainer.engine import daemon
from trainer.errors import EngineError
from trainer.workspace.run_folders import Record

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

T = TypeVar("T")

NAME = "docker"
"""The backend's."""


RUN_ID = "trainer.run_id"
"""The label that a run's container is known by."""
PARENT_ID = "trainer.parent_id"
"""The label of one that several runs have, one after the other: the id of the run that they are below."""
WORKSPACE, RUN_NAME = "trainer.workspace", "trainer.run_name"
_PATIENCE_S = 2.0
_GPUS = "trainer.gpus"


def labels(record: Record, workspace: str, key: str = RUN_ID) -> dict[str, str]:
    """The labels of a run's container: what it takes to end the run where its record was lost.

    With PARENT_ID for the key, of one for the runs below it.
    """
    return {
        key: record.run_id,
        WORKSPACE: workspace,
        "trainer.host": record.host,
        "trainer.tracking_uri": record.tracking_uri,
        "trainer.own_server": str(record.own_server).lower(),
        "trainer.keep_files": str(record.keep_files).lower(),
        "trainer.project": record.project,
        RUN_NAME: record.name,
        "trainer.secret_names": ",".join(record.secret_names),
    }


def of_runs(*, usage: bool = True) -> list[JobState]:
    """Every container of a run, running or not. Raises `EngineError`."""
    return list(_with(RUN_ID, usage=usage).values())


def of_runs_below() -> dict[str, JobState]:
    """By their names, those that runs below another one have; what is said of each is of that other run."""
    return _with(PARENT_ID, usage=True)


def _with(key: str, *, usage: bool) -> dict[str, JobState]:
    client = daemon.connect()
    with daemon.failures():
        containers = client.containers.list(all=True, filters={"label": key}, ignore_removed=True)
        return {str(each.name): _seen(client, each, key, usage=usage) for each in containers}


def within_moments(ask: Callable[[], T]) -> T:
    """What the engine answers. Raises `EngineError` also where it takes longer than 2 s."""
    try:
        return concurrency.call_with_timeout(_PATIENCE_S, ask)
    except TimeoutError:
        raise EngineError(
            f"The Docker engine gave no answer in {_PATIENCE_S:.0f} s.", "Restart it."
        ) from None


def _seen(client: docker.DockerClient, container: Container, key: str, *, usage: bool) -> JobState:
    labels, running = container.labels, container.attrs["State"]["Status"] in ("running", "paused")
    record = Record(
        run_id=labels[key],
        project=labels.get("trainer.project", ""),
        backend=NAME,
        tracking_uri=labels.get("trainer.tracking_uri", ""),
        own_server=labels.get("trainer.own_server") == "true",
        keep_files=labels.get("trainer.keep_files") == "true",
        secret_names=tuple(filter(None, labels.get("trainer.secret_names", "").split(","))),
        name=labels.get(RUN_NAME, ""),
        image=container.attrs["Config"]["Image"],
        host=labels.get("trainer.host", ""),
        started=_time(container.attrs["Created"]),
    )
    job = JobState(
        record,
        labels.get(WORKSPACE, ""),
        running,
        cores=container.attrs["HostConfig"].get("CpusetCpus") or "",
        gpus=_gpus(container),
    )
    return _measured(client, container, job) if running and usage else job


def _measured(client: docker.DockerClient, container: Container, job: JobState) -> JobState:
    from docker.errors import APIError

    # One sample: the engine answers at once, where a second one would take it a second.
    with contextlib.suppress(APIError, KeyError, TypeError):
        stats = client.api.stats(str(container.id), stream=False, one_shot=True)
        memory = stats["memory_stats"]
        droppable = memory["stats"].get("inactive_file", memory["stats"].get("total_inactive_file", 0))
        used = stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
        seconds = time.time() - _time(container.attrs["State"]["StartedAt"])
        return replace(
            job,
            memory=memory["usage"] - droppable,
            cpus=used / max(seconds, 0.001),
            cpu_seconds=used,
            measured_at=_time(stats["read"]),
        )
    return job


def _gpus(container: Container) -> tuple[str, ...]:
    if named := container.labels.get(_GPUS):
        return tuple(named.split(","))
    for request in container.attrs["HostConfig"].get("DeviceRequests") or ():
        if any("gpu" in capabilities for capabilities in request.get("Capabilities") or ()):
            count = request.get("Count", 0)
            first = tuple(map(str, range(count)))  # which are a count's: the engine takes the first ones
            return tuple(request.get("DeviceIDs") or ()) or (first if count >= 0 else ("all",))
    return ()


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
