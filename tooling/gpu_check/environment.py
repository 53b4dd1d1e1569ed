"""The environment of the check: all that the machine's Python has, and the wheels that travelled.

Only the standard library: this is run by a Python that has nothing of the project's.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path


class EnvironmentFailed(Exception):
    """It could not be made; the message says why."""


def make(place: Path, wheels: Path) -> Path:
    """Make the environment, without any registry; return its interpreter. Raises `EnvironmentFailed`."""
    found = sorted(wheels.glob("*.whl"))
    if not found:
        raise EnvironmentFailed(
            f"There are no wheels in {wheels}: make gpu-check-wheels where there is a registry."
        )
    # Without pip: Debian's Python has venv and no ensurepip. The machine's own is used.
    venv.EnvBuilder(clear=True, symlinks=True).create(place)
    python = place / "bin" / "python"
    # The machine's Python may be of a virtual environment, whose packages `system_site_packages` would miss.
    theirs = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    lines = [f"import site; site.addsitedir({path!r})" for path in theirs]
    (site_packages(place) / "machine.pth").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index",
         "--no-deps", "--no-compile", "--no-cache-dir", "--disable-pip-version-check", *map(str, found)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise EnvironmentFailed(f"The wheels cannot be installed: {done.stderr.strip()[-500:]}")
    return python


def site_packages(place: Path) -> Path:
    """Where the environment has its packages."""
    return place / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
