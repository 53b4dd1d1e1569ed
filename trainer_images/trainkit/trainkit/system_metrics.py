"""What a run uses of its machine: metrics `system/…` of CPU, memory, disk, network and GPUs."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.entities import Metric

from trainkit import paths

_SAMPLE_S = 1.0
# Longer than logging takes, shorter than MLflow's client tries to reach a server that is gone.
_PATIENCE_S = 10.0
# A limit at or above this is the kernel's way to say that there is none.
_NO_LIMIT = 1 << 60


@contextmanager
def system_metrics(seconds: float = 10.0) -> Iterator[None]:
    """Log to the active MLflow run while the block runs: after a second, every `seconds`, and at the end.

    The names are MLflow's own. `system_memory_…` is that of the whole machine; `container_memory_…` is what
    counts against the run's own limit, with its highest sample so far as `container_memory_peak_megabytes`.
    A point is the mean of samples taken every second. Whatever fails here is one printed warning.
    """
    run = mlflow.active_run()
    if run is None:
        raise RuntimeError("system_metrics() is used inside of mlflow.start_run()")
    stop = threading.Event()
    thread = threading.Thread(
        target=_sample_and_log,
        args=(run.info.run_id, run.info.start_time, stop, seconds),
        name="system_metrics",
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_PATIENCE_S)


@dataclass(frozen=True)
class Memory:
    """Bytes. `limit` is None where there is none."""

    used: int
    limit: int | None


def container_memory(root: Path = Path("/sys/fs/cgroup")) -> Memory | None:
    """The memory of this container by cgroup v2 or v1, or None where neither tells.

    File pages that were not used lately are not counted, as in `docker stats`: the kernel drops them
    before it runs out of memory.
    """
    for folder, current, limit, droppable in (
        (root, "memory.current", "memory.max", "inactive_file"),
        (root / "memory", "memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"),
    ):
        try:
            used = int((folder / current).read_text())
            limit_text = (folder / limit).read_text().strip()
            lines = (folder / "memory.stat").read_text().splitlines()
        except OSError:
            continue
        used -= sum(int(line.split()[1]) for line in lines if line.split()[0] == droppable)
        most = None if limit_text == "max" or int(limit_text) >= _NO_LIMIT else int(limit_text)
        return Memory(max(used, 0), most)
    return None


class ContainerMemory:
    """Samples of `container_memory`, as the values of one point."""

    def __init__(self) -> None:
        self._samples: list[Memory] = []
        self._peak = 0

    def collect(self) -> None:
        """Take a sample."""
        if memory := container_memory():
            self._samples.append(memory)
            self._peak = max(self._peak, memory.used)

    def aggregate(self) -> dict[str, float]:
        """The mean of the samples since the last call, and the peak of all."""
        samples, self._samples = self._samples, []
        if not samples:
            return {}
        mean = sum(memory.used for memory in samples) / len(samples)
        values = {
            "container_memory_usage_megabytes": round(mean / 1e6, 1),
            "container_memory_peak_megabytes": round(self._peak / 1e6, 1),
        }
        if limit := samples[-1].limit:
            values["container_memory_usage_percentage"] = round(mean / limit * 100, 1)
        return values


class _Sampler:
    """MLflow's monitors without MLflow's thread.

    That one logs nothing before its first interval is over, ends at the first request that fails, and can
    hold up the end of a run for minutes when the server is gone.
    """

    def __init__(self, run_id: str, started_ms: int) -> None:
        # No GPU is no news, and what a GPU does not tell would be said again every second.
        logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor  # needs psutil

        self._run_id = run_id
        self._machine = SystemMetricsMonitor(run_id)
        self._container = ContainerMemory()
        self._client = mlflow.MlflowClient()
        # A resumed run goes on above the steps it has: there are fewer of them than seconds have passed.
        self._step = int(time.time() - started_ms / 1000) if paths.restarts() else 0
        self._warned = False

    def run(self, stop: threading.Event, seconds: float) -> None:
        """Sample and log until `stop` is set, and again then."""
        due = 0.0
        while not stop.wait(min(_SAMPLE_S, seconds)):
            self._attempt(self._collect)
            if time.monotonic() >= due:
                due = time.monotonic() + seconds
                self._attempt(self._log)
        self._attempt(self._collect)
        self._attempt(self._log)

    def _collect(self) -> None:
        self._container.collect()
        self._machine.collect_metrics()

    def _log(self) -> None:
        now = int(time.time() * 1000)
        values = {**self._machine.aggregate_metrics(), **self._container.aggregate()}
        for monitor in self._machine.monitors:
            monitor.clear_metrics()
        points = [Metric(f"system/{name}", value, now, self._step) for name, value in values.items()]
        self._step += 1
        self._client.log_batch(self._run_id, points)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 (a driver, a library, a server: no training ends by it)
            if not self._warned:
                print(f"Warning: some system metrics are missing: {error}", flush=True)
            self._warned = True


def _sample_and_log(run_id: str, started_ms: int, stop: threading.Event, seconds: float) -> None:
    try:
        sampler = _Sampler(run_id, started_ms)
    except Exception as error:  # noqa: BLE001 (as above)
        print(f"Warning: there are no system metrics: {error}", flush=True)
        return
    sampler.run(stop, seconds)
