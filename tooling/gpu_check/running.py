"""Run sections one after the other, each in a process with a limit of its own, and keep what they found."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from gpu_check import orphans
from gpu_check.plan import PlannedSection
from gpu_check.record import Finding, Section
from gpu_check.setting import Setting

_TOOLING = Path(__file__).parents[1]
_TRAINKIT = _TOOLING.parent / "trainer_images" / "trainkit"
_LEAST_S = 5.0
_SMALL_TAKES = 3.0  # on few cores, which others use as well


def run(planned: PlannedSection, python: Path, setting: Setting, until: float) -> Section:
    """What the section finds by `until`, a time of the monotonic clock, or within its own limit.

    One that is interrupted has what it found before; `is_interrupted` of it is true.
    """
    limit = min(planned.seconds * (_SMALL_TAKES if setting.small else 1), until - time.monotonic())
    if limit < _LEAST_S:
        return Section(planned.name, planned.title, "not run: the time was up", 0.0)
    folder = setting.place / planned.name
    folder.mkdir(parents=True)
    findings, log = folder / "findings", folder / "log"
    own = folder / "work"
    own.mkdir()
    before = orphans.descendants()
    begun = time.monotonic()
    own_setting = replace(setting, folder=str(own), until=begun + limit, project=planned.project)
    with log.open("wb") as output:
        child = subprocess.Popen(
            [str(python), "-m", "gpu_check.section", planned.name, str(findings),
             own_setting.as_text()],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=own, start_new_session=True,
            env={**os.environ, **_variables(planned, python, own_setting)},
        )  # fmt: skip
        try:
            code = child.wait(limit)
            ended = "complete" if code == 0 else f"failed: {_how(code)}: {_last_line(log)}"
        except subprocess.TimeoutExpired:
            ended = f"cut off after {limit:.0f} seconds"
        except KeyboardInterrupt:
            ended = f"interrupted after {time.monotonic() - begun:.0f} seconds"
        finally:
            orphans.end_all(before)  # what the section started, too
            child.wait()
    seconds = time.monotonic() - begun
    return Section(planned.name, planned.title, ended, seconds, _read(findings), planned.keras_backend)


def _variables(planned: PlannedSection, python: Path, setting: Setting) -> dict[str, str]:
    folder = setting.place
    small = {
        # Beside other processes on few cores, threads that wait for each other take many times as long.
        "OMP_NUM_THREADS": "1",
        # Most of the time is XLA's compiler's.
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "JAX_COMPILATION_CACHE_DIR": str(folder.parents[1] / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    deterministic = {"TRAINER_DETERMINISTIC": "1"} if planned.deterministic else {}
    return {
        **(small if setting.small else {}),
        **deterministic,
        "KERAS_BACKEND": planned.keras_backend,
        "PATH": f"{python.parent}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": f"{_TOOLING}:{_TRAINKIT}",
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TRAINER_CACHE_DIR": str(folder / "cache"),
        "TRAINER_GPUS": "all" if setting.card else "none",
        "MLFLOW_TRACKING_URI": (folder / "mlruns").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def _read(findings: Path) -> list[Finding]:
    parsed = []
    with contextlib.suppress(FileNotFoundError):
        for line in findings.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):  # the last one of a process that was killed
                parsed.append(Finding.of(json.loads(line)))
    return parsed


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
