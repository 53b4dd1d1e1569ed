"""psutil, which MLflow's monitors need, is in the images alone: a stand-in is used here."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.entities import Metric
from trainkit import system_metrics
from trainkit.system_metrics import ContainerMemory, Memory, container_memory

MONITOR = "mlflow.system_metrics.system_metrics_monitor"


class Machine:
    """Stands in for MLflow's monitor of the machine."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.monitors: list[SimpleNamespace] = [SimpleNamespace(clear_metrics=lambda: None)]

    def collect_metrics(self) -> None: ...

    def aggregate_metrics(self) -> dict[str, float]:
        return {"cpu_utilization_percentage": 50.0}


class Client:
    """Keeps what is logged; `fails` makes every request fail."""

    def __init__(self) -> None:
        self.points: list[tuple[str, Metric]] = []
        self.fails = False

    def log_batch(self, run_id: str, metrics: Sequence[Metric]) -> None:
        if self.fails:
            raise OSError("the server is gone")
        self.points += [(run_id, metric) for metric in metrics]

    def values(self, name: str) -> list[float]:
        return [metric.value for _, metric in self.points if metric.key == name]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client()
    monkeypatch.setattr("mlflow.MlflowClient", lambda: client)
    run = SimpleNamespace(info=SimpleNamespace(run_id="the-run", start_time=int(time.time() * 1000) - 60_000))
    monkeypatch.setattr("mlflow.active_run", lambda: run)
    monkeypatch.setitem(sys.modules, MONITOR, SimpleNamespace(SystemMetricsMonitor=Machine))
    monkeypatch.setattr(system_metrics, "_SAMPLE_S", 0.02)
    return client


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> list[Memory]:
    """What the container's cgroup will tell, one value a sample; the last one stays."""
    told = [Memory(1_000_000, 8_000_000)]
    monkeypatch.setattr(system_metrics, "container_memory", lambda: told.pop(0) if len(told) > 1 else told[0])
    return told


def cgroup(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_memory_of_cgroup_2_is_without_pages_that_can_be_dropped(tmp_path: Path) -> None:
    files = {
        "memory.current": "5000\n",
        "memory.max": "9000\n",
        "memory.stat": "anon 3000\ninactive_file 1500\nactive_file 500\n",
    }
    assert container_memory(cgroup(tmp_path, files)) == Memory(3500, 9000)


def test_memory_of_cgroup_1(tmp_path: Path) -> None:
    files = {
        "memory/memory.usage_in_bytes": "5000\n",
        "memory/memory.limit_in_bytes": "9000\n",
        "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 1500\n",
    }
    assert container_memory(cgroup(tmp_path, files)) == Memory(3500, 9000)


@pytest.mark.parametrize(
    ("files", "stat"),
    [
        (("memory.current", "memory.max", "max"), "memory.stat"),
        (
            ("memory/memory.usage_in_bytes", "memory/memory.limit_in_bytes", "9223372036854771712"),
            "memory/memory.stat",
        ),
    ],
)
def test_no_limit_is_not_a_limit_of_eight_exabytes(
    tmp_path: Path, files: tuple[str, str, str], stat: str
) -> None:
    current, limit, none = files
    assert container_memory(cgroup(tmp_path, {current: "5000", limit: none, stat: ""})) == Memory(5000, None)


def test_without_a_cgroup_there_is_no_container_memory(tmp_path: Path) -> None:
    assert container_memory(tmp_path) is None


def test_a_point_is_the_mean_since_the_last_one_and_the_peak_stays(memory: list[Memory]) -> None:
    memory[:] = [Memory(2_000_000, 8_000_000), Memory(6_000_000, 8_000_000), Memory(1_000_000, 8_000_000)]
    container = ContainerMemory()
    container.collect()
    container.collect()
    assert container.aggregate() == {
        "container_memory_usage_megabytes": 4.0,
        "container_memory_peak_megabytes": 6.0,
        "container_memory_usage_percentage": 50.0,
    }
    container.collect()
    assert container.aggregate()["container_memory_usage_megabytes"] == 1.0
    container.collect()
    assert container.aggregate()["container_memory_peak_megabytes"] == 6.0


def test_without_a_limit_there_is_no_percentage(memory: list[Memory]) -> None:
    memory[:] = [Memory(2_000_000, None)]
    container = ContainerMemory()
    container.collect()
    assert "container_memory_usage_percentage" not in container.aggregate()


def test_a_short_run_has_points_from_its_start_and_its_end(client: Client, memory: list[Memory]) -> None:
    memory[:] = [Memory(1_000_000, None), Memory(3_000_000, None)]
    with system_metrics.system_metrics(seconds=3600):
        time.sleep(0.2)
    assert {run_id for run_id, _ in client.points} == {"the-run"}
    assert client.values("system/cpu_utilization_percentage") == [50.0, 50.0]
    assert client.values("system/container_memory_usage_megabytes") == [1.0, 3.0]
    assert sorted({metric.step for _, metric in client.points}) == [0, 1]


@pytest.mark.usefixtures("memory")
def test_a_resumed_run_logs_no_step_that_it_has(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_RESTARTS", "1")
    with system_metrics.system_metrics(seconds=3600):
        time.sleep(0.2)
    # It began a minute ago, and had logged 60 points at most.
    assert min(metric.step for _, metric in client.points) >= 60


@pytest.mark.usefixtures("memory")
def test_a_server_that_is_gone_is_one_warning_and_no_error(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    client.fails = True
    with system_metrics.system_metrics(seconds=0.01):
        time.sleep(0.2)
    output = capsys.readouterr().out
    assert output == "Warning: some system metrics are missing: the server is gone\n"


@pytest.mark.usefixtures("memory")
def test_points_come_again_when_the_server_is_back(client: Client) -> None:
    client.fails = True
    with system_metrics.system_metrics(seconds=0.01):
        time.sleep(0.1)
        client.fails = False
        time.sleep(0.1)
    assert client.values("system/container_memory_usage_megabytes")


def test_a_server_that_does_not_answer_holds_the_end_up_for_seconds_only(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "log_batch", lambda *_: time.sleep(5))
    monkeypatch.setattr(system_metrics, "_PATIENCE_S", 0.1)
    start = time.monotonic()
    with system_metrics.system_metrics():
        time.sleep(0.1)
    assert time.monotonic() - start < 3


def test_a_missing_library_is_one_warning(
    client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, MONITOR, None)
    with system_metrics.system_metrics():
        pass
    output = capsys.readouterr().out
    assert output.startswith("Warning: there are no system metrics:")
    assert output.count("\n") == 1
    assert not client.points


@pytest.mark.usefixtures("memory")
def test_the_error_of_the_training_is_kept(client: Client) -> None:
    with pytest.raises(ZeroDivisionError), system_metrics.system_metrics(seconds=0.01):
        1 / 0  # noqa: B018
    assert client.points


def test_outside_of_a_run_it_says_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow.active_run", lambda: None)
    with pytest.raises(RuntimeError, match="start_run"), system_metrics.system_metrics():
        pass
