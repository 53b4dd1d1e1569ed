"""`trainer top`: what is printed of what runs use, and where it comes from."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from trainer.backends.base import JobState
from trainer.backends.docker import containers
from trainer.cli.runs import top
from trainer.engine import daemon
from trainer.errors import EngineError
from trainer.host import gpu_use
from trainer.host.gpu_use import GpuUse
from trainer.host.hardware import Hardware
from trainer.runs.live import LiveRun
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

from unit.helpers import DEAD_ENGINE, HttpServer, Result, put
from unit.runs.helpers import ID, live, record

Trainer = Callable[..., Result]
NVIDIA_SMI = """\
0, GPU-aa11, NVIDIA H200, 87, 23000, 143771
1, GPU-bb22, NVIDIA H200, [N/A], 0, 143771
a line of a warning
"""
MACHINE = Hardware("Linux", "AMD EPYC", 8, 64 * 10**9)


def job(name: str, seconds: float, at: float, **changes: Any) -> LiveRun:
    made = Record(name * 8, "sklearn", "docker", "", False, name=f"brave-{name}", started=time.time() - 130)
    state = JobState(made, "w", True, 3_100_000_000, 1.0, cpu_seconds=seconds, measured_at=at)
    state = replace(state, **changes)
    return LiveRun(made, "running" if state.running else "ended", "running", state.memory, state.cpus, state)


def lines(renderable: object, width: int) -> list[str]:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(renderable)
    return [line.rstrip() for line in captured.get().splitlines()]


def shown(*now: LiveRun, before: tuple[LiveRun, ...], gpus: str = "") -> top.Use:
    machine = gpu_use.read(gpus)
    return top.Use(top.rows(before, now, machine), machine, MACHINE)


def test_what_a_run_uses_is_the_difference_of_two_looks() -> None:
    use = shown(
        job("a", 25.0, 110.0, cores="0-1"), job("b", 3.0, 110.0), job("c", 9.0, 110.0, running=False),
        before=(job("a", 10.0, 100.0), job("c", 9.0, 100.0)),
    )  # fmt: skip
    assert lines(top.screen(use, 80), 80) == [
        "2 runs: CPU 150% of 800%, memory 6.2 GB of 64.0 GB",
        "q or Ctrl-C ends it",
        "",
        "RUN      ID         CPU  MEMORY  CORES  GPUS  AGE    PROJECT",
        "brave-a  aaaaaaaa  150%  3.1 GB  0-1          2 min  sklearn",
        "brave-b  bbbbbbbb        3.1 GB  all          2 min  sklearn",
    ]


def test_gpus_stand_with_their_use_where_nvidia_smi_says_it() -> None:
    runs = [job("a", 0, 1, gpus=("GPU-bb22",)), job("b", 0, 1, gpus=("all",)), job("c", 0, 1, gpus=("0",))]
    text = lines(top.screen(shown(*runs, before=(), gpus=NVIDIA_SMI), 80), 80)
    assert [line.partition("all    ")[2][:10].strip() for line in text[4:7]] == ["1", "0 (87%), 1", "0 (87%)"]
    assert text[8:] == [
        "GPU 0  NVIDIA H200  87%  24.1 GB of 150.8 GB",
        "GPU 1  NVIDIA H200    0 B of 150.8 GB",
    ]
    unknown = lines(top.screen(shown(*runs, before=()), 80), 80)
    assert [line.partition("all  ")[2].split()[0] for line in unknown[4:7]] == ["GPU-bb22", "all", "0"]


@pytest.mark.parametrize("width", [40, 50, 60, 80])
def test_a_narrow_terminal_has_fewer_columns_and_no_line_is_wrapped(width: int) -> None:
    use = shown(job("a" * 20, 25.0, 110.0, cores="0-1"), before=())
    text = lines(top.screen(use, width), width)
    assert len(text) == 5
    assert max(map(len, text)) <= width
    assert ("CORES" in text[3]) == (width >= 60)


def test_divided_gpus_are_no_numbers_of_whole_ones() -> None:
    machine = gpu_use.read(NVIDIA_SMI)
    assert gpu_use.of(("MIG-1234",), machine) == []
    assert gpu_use.of(("GPU-aa",), machine) == [
        GpuUse("0", "GPU-aa11", "NVIDIA H200", 87, 23000 << 20, 143771 << 20)
    ]


def test_without_a_run_and_an_engine_top_says_so(trainer: Trainer) -> None:
    done = trainer("top")
    assert (done.code, done.out) == (0, "No live runs.\n")
    assert done.err.startswith(f"No Docker engine answers at {DEAD_ENGINE}")
    assert json.loads(trainer("top", "--json").out)["runs"] == []


def test_a_run_of_an_engine_that_is_gone_is_an_error(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    live(workspace, record(http_server, backend="docker"))
    done = trainer("top", "--once")
    assert done.code == 82
    assert done.err.startswith(f"Error: No Docker engine answers at {DEAD_ENGINE}. The state of its runs is")


def test_a_local_run_is_measured_by_its_process_group(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    run = record(http_server, started=time.time())
    folder = live(workspace, run)
    busy = "import os; os.sched_setaffinity(0, {0})\nwhile True: pass"
    child = subprocess.Popen(
        ["sh", "-c", 'exec "$0" -c "$1" & wait', sys.executable, busy],
        start_new_session=True, env={"PATH": os.environ["PATH"], "CUDA_VISIBLE_DEVICES": "0,1"},
    )  # fmt: skip
    try:
        from trainer.workspace.run_folder import RunFolder

        put(RunFolder(folder).job_pid, str(child.pid))
        (said,) = json.loads(trainer("top", "--json").out)["runs"]
    finally:
        os.killpg(child.pid, 9)
        child.wait()
    assert (said["run_id"], said["backend"], said["gpus"]) == (ID, "local", ["0", "1"])
    assert 5 < said["cpu_percent"] < 130
    assert 5e6 < said["memory_bytes"] < 1e9


def test_what_a_container_has_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(labels: dict[str, str], **host: object) -> JobState:
        attributes = {
            "State": {"Status": "exited"}, "Config": {"Image": "x"}, "HostConfig": host,
            "Created": "2026-01-01T00:00:00.123456789Z",
        }  # fmt: skip
        container = SimpleNamespace(name="x", labels={"trainer.run_id": ID} | labels, attrs=attributes)
        listing = type(
            "Client", (), {"containers": type("C", (), {"list": lambda *_, **__: [container]})()}
        )()
        monkeypatch.setattr(daemon, "connect", lambda: listing)
        (state,) = containers.of_runs()
        return state

    request = {"Capabilities": [["gpu"]]}
    assert seen({}, CpusetCpus="0-1").cores == "0-1"
    assert seen({"trainer.gpus": "GPU-a,GPU-b"}, DeviceRequests=None).gpus == ("GPU-a", "GPU-b")
    assert seen({}, DeviceRequests=[request | {"Count": -1}]).gpus == ("all",)
    assert seen({}, DeviceRequests=[request | {"Count": 2}]).gpus == ("0", "1")
    assert seen({}, DeviceRequests=[request | {"Count": 0, "DeviceIDs": ["1"]}]).gpus == ("1",)
    assert seen({}, DeviceRequests=[]).gpus == ()


def test_an_engine_that_goes_away_is_said_below_the_table() -> None:
    use = replace(shown(before=()), error=EngineError("No Docker engine answers.", "Start it."))
    assert lines(top.screen(use, 80), 80) == [
        "No live runs.", "q or Ctrl-C ends it", "", "", "No Docker engine answers.",
    ]  # fmt: skip
