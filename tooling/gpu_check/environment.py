"""The environment of the check: all that the machine's Python has, and the wheels that travelled.

Only the standard library: this is run by a Python that has nothing of the project's.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).parent
LOCK = HERE / "wheels.txt"
MACHINE = HERE / "machine.txt"
_PYTHON = (3, 12)
_OURS = ("trainer", "trainkit")
_NEEDED_MB = 600
_FETCH = "Fetch them where there is a package registry with make gpu-check-wheels, and pass --wheels FOLDER"
_OTHER_PYTHON = "Use the Python 3.12 that has PyTorch and JAX: /path/to/python3.12 -m gpu_check"


class EnvironmentFailed(Exception):
    """It could not be made: `message` says why, `hint` what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def make(folder: Path, wheels: Path) -> Path:
    """Make the environment, without any registry; return its interpreter. Raises `EnvironmentFailed`."""
    files = _checked(wheels)
    _check_python()
    if (free := shutil.disk_usage(folder.parent).free / 1e6) < _NEEDED_MB:
        raise EnvironmentFailed(
            f"{folder.parent.parent} has {free:.0f} MB left; the check needs {_NEEDED_MB} MB.",
            "Set TMPDIR to a folder with more space.",
        )
    # Without pip: Debian's Python has venv and no ensurepip. The machine's own is used.
    venv.EnvBuilder(clear=True, symlinks=True).create(folder)
    python = folder / "bin" / "python"
    # The machine's Python may be of a virtual environment, whose packages `system_site_packages` would miss.
    theirs = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    lines = [f"import site; site.addsitedir({path!r})" for path in theirs]
    (site_packages(folder) / "machine.pth").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index",
         "--no-deps", "--no-compile", "--no-cache-dir", "--disable-pip-version-check", *map(str, files)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "TMPDIR": str(folder.parent)},
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1].removeprefix("ERROR: ")
        raise EnvironmentFailed(f"pip cannot install the wheels: {last}", _FETCH)
    return python


def site_packages(folder: Path) -> Path:
    """Where the environment has its packages."""
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _check_python() -> None:
    if sys.version_info[:2] != _PYTHON:
        raise EnvironmentFailed(
            f"This is Python {platform.python_version()}; the wheels are for Python 3.12.",
            _OTHER_PYTHON,
        )
    if not _is_here("torch"):
        raise EnvironmentFailed(
            f"This Python has no PyTorch: {sys.executable}.",
            _OTHER_PYTHON,
        )


def missing() -> list[str]:
    """What this Python lacks of all that such a machine has: sections may need it."""
    names = [line.split("==")[0] for line in MACHINE.read_text().splitlines() if line[:1].isalnum()]
    return [name for name in names if not _is_here(name)]


def _is_here(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _checked(wheels: Path) -> list[Path]:
    """The wheels in the folder, which are those of the lock, unchanged, and trainer's and trainkit's."""
    wheel_files = sorted(wheels.glob("*.whl"))
    if not wheel_files:
        raise EnvironmentFailed(f"There are no wheels in {wheels}.", _FETCH)
    hashes = {
        digest: name
        for name, pins in re.findall(r"^([a-z0-9][\w.-]*)==((?:.*\\\n)*.*)", LOCK.read_text(), re.MULTILINE)
        for digest in re.findall("sha256:([0-9a-f]{64})", pins)
    }
    lacks = {*hashes.values(), *_OURS}
    for wheel in wheel_files:
        name = wheel.name.split("-")[0].replace("_", "-").lower()
        if name in _OURS:
            if not zipfile.is_zipfile(wheel):
                raise EnvironmentFailed(f"{wheel.name} is damaged.", _FETCH)
        else:
            expected_name = hashes.get(hashlib.sha256(wheel.read_bytes()).hexdigest())
            if expected_name is None:
                raise EnvironmentFailed(f"{wheel.name} is damaged, or not of this version.", _FETCH)
            name = expected_name
        lacks.discard(name)
    if lacks:
        raise EnvironmentFailed(f"{wheels} lacks the wheels of {', '.join(sorted(lacks))}.", _FETCH)
    return wheel_files
