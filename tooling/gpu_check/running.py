"""Run sections one after the other, each in a process with a limit of its own, and keep what they found."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from gpu_check.plan import Planned
from gpu_check.record import Finding, Section
from gpu_check.setting import Setting

_TOOLING = Path(__file__).parents[1]
_TRAINKIT = _TOOLING.parent / "trainer_images" / "trainkit"
_LEAST_S = 5.0


def run(planned: Planned, python: Path, setting: Setting, until: float) -> Section:
    """What the section finds by `until`, a time of the monotonic clock, or within its own limit."""
    limit = min(planned.seconds, until - time.monotonic())
    if limit < _LEAST_S:
        return Section(planned.name, planned.title, "not run: the time was up", 0.0)
    folder = setting.place / planned.name
    folder.mkdir(parents=True)
    findings, log = folder / "findings", folder / "log"
    own = folder / "work"
    own.mkdir()
    begun = time.monotonic()
    with log.open("wb") as output:
        child = subprocess.Popen(
            [str(python), "-m", "gpu_check.section", planned.name, str(findings),
             replace(setting, folder=str(own)).as_text()],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=own, start_new_session=True,
            env={**os.environ, **_variables(python, own, setting)},
        )  # fmt: skip
        try:
            code = child.wait(limit)
            ended = "whole" if code == 0 else f"failed: {_how(code)}: {_last_line(log)}"
        except subprocess.TimeoutExpired:
            ended = f"cut off after {limit:.0f} seconds"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # and what the section started
            child.wait()
    return Section(planned.name, planned.title, ended, time.monotonic() - begun, _read(findings))


def _variables(python: Path, folder: Path, setting: Setting) -> dict[str, str]:
    return {
        "PATH": f"{python.parent}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": f"{_TOOLING}:{_TRAINKIT}",
        "TRAINER_CACHE_DIR": str(folder / "cache"),
        "TRAINER_GPUS": "all" if setting.card else "none",
        "MLFLOW_TRACKING_URI": (folder / "mlruns").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def _read(findings: Path) -> list[Finding]:
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in findings.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):  # the last one of a process that was killed
                found.append(Finding(**json.loads(line)))
    return found


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
