"""The images' smoke tests, in the environment of this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from gpu_check.record import Finding, checked
from gpu_check.setting import Setting

_IMAGES = Path(__file__).parents[3] / "trainer_images"
# `tensorflow-gpu` has the smoke test of `tensorflow`.
_FRAMEWORKS = {"sklearn": "sklearn", "pytorch": "torch", "tensorflow": "tensorflow"}


def find(setting: Setting) -> Iterator[Finding]:
    """With the card where there is one: $TRAINER_GPUS tells the tests."""
    for image, framework in _FRAMEWORKS.items():
        label = f"smoke test of the image {image}"
        if not find_spec(framework):
            yield Finding(label, outcome="not run", said=f"{framework} is not installed here")
            continue
        done = subprocess.run(
            [sys.executable, str(_IMAGES / image / "smoke.py")], cwd=setting.place,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        lines = (done.stdout + done.stderr).splitlines()
        passed = sum(line.startswith("ok ") for line in lines)
        summary = (
            f"{passed} checks" if done.returncode == 0 else lines[-1][:300] if lines else "it said nothing"
        )
        yield checked(label, done.returncode == 0, summary)
