"""A run of `pytorch_layers` on the local backend, as a user starts it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from trainer.backends import environments
from trainer.images import spec, trainer_image
from trainer.workspace import settings

from gpu_check.record import Finding, checked, no_card
from gpu_check.setting import Setting

_PROJECTS = Path(__file__).parents[3] / "train_code"
_GPU_ERROR = 88


def find(setting: Setting) -> Iterator[Finding]:
    """With the GPU where there is one, else on the CPU; and how a GPU that is missing is refused."""
    if problem := _loopback():
        yield checked("trainer run pytorch_layers --backend local", passed=False, said=problem)
        return
    place = setting.place / "workspace"
    _trainer(setting.place, "init", str(place))
    with socket.create_server(("127.0.0.1", 0)) as free:
        (place / "trainer.yaml").write_text(f"server_port: {free.getsockname()[1]}\n")
    shutil.copytree(_PROJECTS / "pytorch_layers", place / "train_code" / "pytorch_layers")
    _trainer(place, "data", "sample", "data_4", "--images", "8", "--size", "64")
    _use_environment(place, Path(setting.environment))
    try:
        yield from _runs(place, setting)
    finally:
        _trainer(place, "server", "down")


def _loopback() -> str:
    """Why the run could not reach a tracking server on this machine; nothing where it can."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=2).close()
    except OSError as problem:
        return f"127.0.0.1 cannot be reached ({problem.strerror or problem}): ip link set lo up"
    return ""


def _use_environment(place: Path, environment: Path) -> None:
    """The local backend finds its environment made: no registry is there to make it from the lock."""
    here = settings.find(place)
    wanted = environments.folder(here, trainer_image.plan(here, spec.spec(here, "pytorch")))
    wanted.parent.mkdir(parents=True, exist_ok=True)
    wanted.symlink_to(environment)
    (environment / "trainer-complete").touch()


def _runs(place: Path, setting: Setting) -> Iterator[Finding]:
    gpus = "all" if setting.card else "none"
    done = _run(place, gpus)
    said = "" if done.returncode == 0 else _last(done)
    yield checked(f"trainer run pytorch_layers --backend local --gpus {gpus}", done.returncode == 0, said)
    if done.returncode:
        return
    shown = json.loads(_trainer(place, "show", "@last", "--json").stdout or "{}")
    device = shown.get("tags", {}).get("torch.device", "none")
    yield Finding("the run's tag torch.device", str(device))
    metrics = sorted(name for name in shown.get("metrics", {}) if name.startswith("system/gpu"))
    if setting.card:
        yield checked("$TRAINER_GPUS led to the GPU", str(device) == "cuda", str(device))
        yield checked("system metrics of the GPU", bool(metrics), ", ".join(metrics))
    else:
        yield no_card("$TRAINER_GPUS led to the GPU")
        yield no_card("system metrics of the GPU")
    for asked in ("device=99", "99") if setting.card else ("all", "device=0"):
        refused = _run(place, asked)
        what = f"--gpus {asked} is refused before there is a run, exit code {_GPU_ERROR}"
        yield checked(what, refused.returncode == _GPU_ERROR, f"{refused.returncode}: {_last(refused)}")


def _run(place: Path, gpus: str) -> subprocess.CompletedProcess[str]:
    options = ["--backend", "local", "--gpus", gpus, "--epochs", "2", "--batch-size", "8"]
    return _trainer(place, "run", "pytorch_layers", *options)


def _trainer(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`trainer` in that folder, which knows of no other tracking server."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "TRAINER_"))}
    return subprocess.run(
        ["trainer", *words], cwd=place, env=own, capture_output=True, text=True, check=False
    )


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    found = [line for line in lines if line.startswith("Error:")]
    return (found or lines or [""])[-1][:300]
