import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from shown import Shown
from trainer import locks, subprocesses
from trainer.backends.base import Job, JobResult, Launch
from trainer.backends.local import backend as local_backend
from trainer.backends.local import job as local_job
from trainer.backends.local.backend import LocalBackend
from trainer.backends.local.job import LocalJob
from trainer.errors import GpuError, ImageError, InvalidInput, NoFreeSlot, TrainerError
from trainer.images import spec, trainer_image
from trainer.images.trainer_image import TrainerImage
from trainer.plan.run_plan import RunPlan
from trainer.slots.need import Need
from trainer.source import snapshot
from trainer.tracking.endpoint import Server
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace
from uv import find_uv_bin

from unit.helpers import changed, fails, put, run_plan

CANARY = "canary-7f3a-%s-'quoted\"-$HOME-`id`-end"
Start = Callable[..., Job]


RECORD = Record("r1", "demo", "local", "http://localhost:5000", own_server=True, secret_names=("A", "B"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    put(folder / "train.py", "print()\n")
    return folder


@pytest.fixture
def start(workspace: Workspace, project: Path) -> Start:
    """Start a command as a run; its folder is `runs/r1`."""

    def begin(*command: str, **changes: object) -> Job:
        folder = workspace.state / "runs" / "r1"
        folder.mkdir(parents=True)
        snapshot.pack(project, folder / "source.tar.gz")
        launch = Launch(
            record=RECORD,
            workspace="w1",
            image_id="environment",
            folder=RunFolder(folder),
            environment={"MLFLOW_RUN_ID": "r1"},
            secret_environment={"API_KEY": CANARY},
            credentials=("me", CANARY),
        )
        backend, plan = LocalBackend(workspace), run_plan(project, command=command, **changes)
        backend.check(plan)
        return backend.start(plan, launch, lambda: None)

    return begin


def finish(job: Job) -> tuple[bytes, JobResult | None]:
    return b"".join(job.follow()), job.end()


def wait_for(path: Path) -> None:
    give_up = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_both_streams_and_the_exit_code(start: Start) -> None:
    job = start("sh", "-c", "echo out; echo err >&2; exit 3")
    assert finish(job) == (b"out\nerr\n", JobResult(3))
    assert b"".join(job.output()) == b"out\nerr\n"


def test_output_that_is_no_text(start: Start) -> None:
    assert finish(start("printf", "\\377\\000x")) == (b"\xff\x00x", JobResult(0))


def test_an_argument_stays_as_it_is(start: Start) -> None:
    values = ("a b", "it's;$(id)`id`", "two\nlines", "", "-x", "ž")
    assert finish(start("printf", "<%s>", *values))[0] == "".join(f"<{v}>" for v in values).encode()


def test_a_command_that_is_not_there_exits_as_in_a_shell(start: Start) -> None:
    assert finish(start("no-such-program"))[1] == JobResult(127)


def test_a_script_that_a_signal_ends(start: Start) -> None:
    assert finish(start("sh", "-c", "kill -SEGV $$"))[1] == JobResult(139)


def test_where_it_runs_and_what_it_knows(
    start: Start, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNRELATED_SECRET", "x")
    job = start("sh", "-c", "pwd; ls; env")
    lines = finish(job)[0].decode().splitlines()
    folder = workspace.state / "runs" / "r1"
    assert lines[:2] == [str(folder / "code"), "train.py"]
    for said in (
        "MODE=fast",
        "MLFLOW_RUN_ID=r1",
        f"API_KEY={CANARY}",
        "MLFLOW_TRACKING_USERNAME=me",
        f"MLFLOW_TRACKING_PASSWORD={CANARY}",
        f"VIRTUAL_ENV={workspace.state / 'environments' / 'small-abababababab'}-py3.{sys.version_info.minor}",
        "CUDA_VISIBLE_DEVICES=",
        "PYTHONUNBUFFERED=1",
    ):
        assert said in lines
    assert not [line for line in lines if line.startswith("UNRELATED_SECRET")]
    path = next(line for line in lines if line.startswith("PATH="))
    assert path.startswith(f"PATH={workspace.state / 'environments'}")


def test_no_argument_shows_a_secret_and_its_file_is_gone(start: Start, workspace: Workspace) -> None:
    job = start("sh", "-c", "touch ../ready; sleep 100")
    folder = workspace.state / "runs" / "r1"
    wait_for(folder / "ready")
    for argv in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert CANARY.encode() not in argv.read_bytes()
    assert not (folder / "environment").exists()
    job.stop()


def test_a_running_job_has_not_ended_and_can_be_stopped(start: Start, workspace: Workspace) -> None:
    job = start("sh", "-c", "trap 'echo bye; exit 0' INT; touch ../ready; while :; do sleep 0.05; done")
    wait_for(workspace.state / "runs" / "r1" / "ready")
    assert job.end() is None
    job.stop()
    assert job.end() == JobResult(0, stopped_by=signal.SIGINT)
    assert b"".join(job.output()) == b"bye\n"


def test_python_is_stopped_as_by_ctrl_c(start: Start, workspace: Workspace) -> None:
    script = """
import pathlib, time
try:
    pathlib.Path("../ready").touch()
    time.sleep(100)
finally:
    print("bye")
"""
    job = start(sys.executable, "-c", script)
    wait_for(workspace.state / "runs" / "r1" / "ready")
    job.stop()
    assert job.end() == JobResult(130, stopped_by=signal.SIGINT)
    assert b"bye\n" in b"".join(job.output())


def test_a_stubborn_job_is_killed_with_its_children(
    start: Start, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_job, "GRACE_S", 0.2)
    job = start("sh", "-c", "trap '' INT; sleep 100 & touch ../ready; sleep 100")
    folder = workspace.state / "runs" / "r1"
    wait_for(folder / "ready")
    job.stop()
    assert job.end() == JobResult(None)
    assert not locks.held(folder / "job.alive")  # every process of the job has it
    job.remove()
    job.remove()


def test_another_process_can_look_after_it(start: Start, workspace: Workspace) -> None:
    start("sh", "-c", "echo one; touch ../ready; sleep 0.2; echo two; exit 4")
    folder = workspace.state / "runs" / "r1"
    wait_for(folder / "ready")
    again = LocalBackend(workspace).attach("r1", RunFolder(folder))
    assert again.end() is None
    assert finish(again) == (b"one\ntwo\n", JobResult(4))


def test_a_process_that_vanished_has_an_unknown_end(start: Start, workspace: Workspace) -> None:
    job = start("sh", "-c", "touch ../ready; sleep 100")
    folder = workspace.state / "runs" / "r1"
    wait_for(folder / "ready")
    os.killpg(int((folder / "pid").read_text()), signal.SIGKILL)
    assert finish(job)[1] == JobResult(None)


def test_a_number_that_is_another_processes_now_is_not_signalled(tmp_path: Path) -> None:
    put(tmp_path / "pid", str(os.getpgid(0)))
    (tmp_path / "job.alive").touch()
    LocalJob(RunFolder(tmp_path)).remove()  # this test would be gone


def test_a_process_that_ends_while_one_looks_did_not_vanish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends_now(_: Path) -> bool:
        put(tmp_path / "result", "0 \n")
        return False

    monkeypatch.setattr(locks, "held", ends_now)
    job = LocalJob(RunFolder(tmp_path))
    assert job.end() in (None, JobResult(0))
    assert job.end() == JobResult(0)


def test_memory_cannot_be_limited_here(start: Start) -> None:
    with fails(
        InvalidInput,
        "--memory needs a container: the local backend cannot limit memory.",
        "Leave it out, or use the docker backend.",
    ):
        start("true", memory="8g")


def test_a_machine_without_bash(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with fails(
        InvalidInput,
        "This machine has no bash, which the run's command needs.",
        "Install it, or use the docker backend.",
    ):
        start("bash", "-c", "true && true")


@pytest.mark.parametrize("target", ["/etc/hostname", "../../elsewhere"])
def test_a_link_out_of_the_project_is_an_error_of_the_project(
    start: Start, project: Path, target: str
) -> None:
    (project / "link").symlink_to(target)
    with pytest.raises(TrainerError):
        start("true")


@pytest.fixture
def cuda(workspace: Workspace) -> RunPlan:
    """A plan with a GPU, and its environment with a Python that says what it was built for."""
    lock = "mlflow==3 --hash=sha256:00\nnvidia-cuda-runtime==13.0.1 --hash=sha256:00\n"
    put(workspace.images / "small" / "requirements.txt", lock)
    image = trainer_image.plan(workspace, spec.spec(workspace, "small"))
    plan = run_plan(workspace.root, image=image, gpus="device=1")
    python = put(
        LocalBackend(workspace)._environment(image) / "bin" / "python",
        '#!/bin/sh\necho \'[{"framework": "PyTorch 2.15", "cuda": "13.2", "architectures": ["sm_90"]}]\'\n',
    )
    python.chmod(0o755)
    return plan


def test_an_environment_that_is_there_needs_no_uv(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = trainer_image.plan(workspace, spec.spec(workspace, "small"))
    place = LocalBackend(workspace)._environment(image)
    put(place / "trainer-complete", "")
    monkeypatch.setitem(sys.modules, "uv", None)
    assert LocalBackend(workspace).prepare(image, Shown()) == place.name


def _smi(monkeypatch: pytest.MonkeyPatch, folder: Path, answer: str) -> None:
    put(folder / "nvidia-smi", f"#!/bin/sh\nprintf '{answer}'\n").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_gpu_that_is_not_there_is_no_slow_run(
    workspace: Workspace, cuda: RunPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocesses, "capture", lambda *_: None)
    with fails(
        GpuError,
        "--gpus device=1: this machine has no usable NVIDIA GPU (nvidia-smi does not answer).",
        "Install the driver, or pass --gpus none to run on the CPU.",
    ):
        LocalBackend(workspace).check(cuda)


def test_a_gpu_for_an_environment_without_cuda_is_no_slow_run(workspace: Workspace) -> None:
    image = trainer_image.plan(workspace, spec.spec(workspace, "small"))
    with pytest.raises(GpuError, match="The image small has nothing in it that uses a GPU"):
        LocalBackend(workspace).check(run_plan(workspace.root, image=image, gpus="all"))


def test_only_the_chosen_gpus_have_to_suit(
    workspace: Workspace, cuda: RunPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = "0, Tesla, 580.95, 3.7, 9000, 9000", "1, H200, 580.95, 9.0, 9000, 9000"
    _smi(monkeypatch, tmp_path / "bin", f"{old}\\n{new}\\n")
    LocalBackend(workspace).preflight(cuda)
    with pytest.raises(GpuError, match=r"GPU 0 \(Tesla\) has compute capability 3.7"):
        LocalBackend(workspace).preflight(changed(cuda, gpus="device=0"))


@pytest.mark.parametrize(("gpus", "missing"), [("device=0,3", "3"), ("device=7", "7"), ("4", "2, 3")])
def test_a_gpu_of_a_number_that_there_is_not_is_an_error(
    workspace: Workspace,
    cuda: RunPlan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: str,
    missing: str,
) -> None:
    _smi(
        monkeypatch,
        tmp_path / "bin",
        "0, H200, 580.95, 9.0, 9000, 9000\\n1, H200, 580.95, 9.0, 9000, 9000\\n",
    )
    with fails(
        GpuError,
        f"--gpus {gpus}: this machine has no GPU {missing}; it has 0, 1.",
        "Choose of these (nvidia-smi -L lists them), or pass --gpus none to run on the CPU.",
    ):
        LocalBackend(workspace).preflight(changed(cuda, gpus=gpus))


@pytest.mark.parametrize(
    ("gpus", "variables"),
    [
        ("none", {"CUDA_VISIBLE_DEVICES": ""}),
        ("all", {}),
        ("2", {"CUDA_VISIBLE_DEVICES": "0,1"}),
        ("device=1,3", {"CUDA_VISIBLE_DEVICES": "1,3"}),
    ],
)
def test_which_gpus_a_process_sees(
    monkeypatch: pytest.MonkeyPatch, gpus: str, variables: dict[str, str]
) -> None:
    monkeypatch.setattr(subprocesses, "capture", lambda *_: "GPU 0\nGPU 1\n")
    assert local_backend._gpu_variables(gpus) == variables


def image(workspace: Workspace) -> TrainerImage:
    plan = run_plan(workspace.images).image
    assert isinstance(plan, TrainerImage)
    inputs = {"trainkit/pyproject.toml": workspace.images / "trainkit" / "pyproject.toml"}
    return replace(plan, spec=replace(plan.spec, folder=workspace.images / "small"), inputs=inputs)


def test_how_an_environment_is_made(workspace: Workspace, tmp_path: Path) -> None:
    venv, locked, own = image(workspace).environment(tmp_path / "env", tmp_path, find_uv_bin())
    python = str(tmp_path / "env" / "bin" / "python")
    assert Path(venv[0]).name == "uv"
    assert venv[1:] == ["venv", "--python", sys.executable, str(tmp_path / "env")]
    install = [venv[0], "pip", "install", "--python", python, "--compile-bytecode"]
    assert locked == [
        *install,
        "--require-hashes",
        "-r",
        str(workspace.images / "small" / "requirements.txt"),
    ]
    assert own == [*install, "--no-deps", str(workspace.images / "trainkit")]


def test_an_environment_is_made_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown()
    monkeypatch.setattr(
        TrainerImage, "environment", lambda _i, place, *_: [["sh", "-c", f"echo making; mkdir {place}"]]
    )
    backend = LocalBackend(workspace)
    name = backend.prepare(image(workspace), shown)
    assert backend.prepare(image(workspace), shown) == name
    assert (shown.lines, shown.parts) == (["making"], ["making"])
    assert name == f"small-abababababab-py3.{sys.version_info.minor}"


def test_an_unfinished_environment_is_rebuilt(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [["sh", "-c", "echo first line; echo No such package >&2; exit 1"]]
    monkeypatch.setattr(TrainerImage, "environment", lambda *_: commands)
    backend = LocalBackend(workspace)
    for _ in range(2):
        with fails(
            ImageError,
            "The local environment could not be made: No such package",
            "Check that the package registry can be reached, then try again.",
        ):
            backend.prepare(image(workspace), Shown())


def test_processes_of_this_machine_use_its_loopback(workspace: Workspace) -> None:
    backend = LocalBackend(workspace)
    backend.connect()
    assert backend.bridge() is None
    assert backend.reachable_uri(Server("http://127.0.0.1:5000")) == "http://127.0.0.1:5000"


def test_a_run_cannot_be_kept_from_writing_here(start: Start) -> None:
    with fails(
        InvalidInput,
        "--read-only needs a container: the local backend cannot keep a run from writing.",
        "Leave it out (--no-read-only, or read_only in trainer.yaml), or use the docker backend.",
    ):
        start("true", read_only=True)


def test_cores_are_one_jobs_until_it_ends_though_its_launcher_lets_go(
    workspace: Workspace, project: Path
) -> None:
    runner = LocalBackend(workspace)
    slot = runner.claim(Need(cpus=1), "environment")
    number = int(slot.cpus)
    there_are = len(runner.capacity().cpus)
    with pytest.raises(NoFreeSlot, match=f"--cpus {there_are}: {there_are - 1} of "):
        LocalBackend(workspace).claim(Need(cpus=there_are), "environment")
    folder = RunFolder(workspace.state / "runs" / "r2")
    folder.path.mkdir(parents=True)
    snapshot.pack(project, folder.source)
    launch = Launch(RECORD, "w1", "environment", folder, {}, {}, slot=slot)
    show = "nproc; echo $TRAINER_CPUS $OMP_NUM_THREADS; touch ../ready; sleep 100"
    plan = run_plan(project, command=("sh", "-c", show))
    job = runner.start(plan, launch, lambda: None)
    wait_for(folder.path / "ready")
    assert b"".join(job.output()).split() == [b"1", b"1", b"1"]
    assert os.sched_getaffinity(0) == set(runner.capacity().cpus)  # the launcher's own are as they were
    with pytest.raises(NoFreeSlot):
        LocalBackend(workspace).claim(Need(cpus=there_are), "environment")
    job.stop()
    again = LocalBackend(workspace).claim(Need(cpus=1), "environment")
    assert int(again.cpus) == number


def test_what_the_local_backend_cannot_keep_is_refused(workspace: Workspace) -> None:
    runner = LocalBackend(workspace)
    with pytest.raises(InvalidInput, match="--cpus 9999: the machine has"):
        runner.check(run_plan(workspace.root, cpus=9999))
    with fails(InvalidInput, "--memory needs a container: the local backend cannot reserve memory."):
        runner.claim(Need(memory="1g"), "environment")
