"""Fetch what a bare machine lacks into one folder, as wheels for its Python and system.

    python -m gpu_check.wheels FOLDER

It takes a registry; the folder travels. `machine.txt` is what is there already.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from gpu_check.environment import HERE, LOCK, MACHINE

REPOSITORY = HERE.parents[1]
MOST_MB = 60
_TAGS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")
_PLATFORMS = [f"--platform={tag}_x86_64" for tag in _TAGS]


def fetch(folder: Path) -> float:
    """Fill the folder with nothing but the wheels of the lock, trainer's and trainkit's; return its MB.

    Ends the program where that is more than `MOST_MB`: it has to travel.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _call([*pip, "download", "--require-hashes", "--no-deps", "--only-binary=:all:", "--implementation=cp",
           "--python-version=3.12", *_PLATFORMS, f"--dest={folder}", f"--requirement={LOCK}"])  # fmt: skip
    build = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", f"--out-dir={folder}"]
    _call([*build, "--no-build-isolation", str(REPOSITORY)])
    _call([*build, str(REPOSITORY / "trainer_images" / "trainkit")])
    (folder / ".gitignore").unlink(missing_ok=True)
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    if size > MOST_MB:
        sys.exit(f"The wheels take {size:.1f} MB, and {MOST_MB} MB may travel: add to {MACHINE}.")
    return size


def _call(command: list[str]) -> None:
    done = subprocess.run(command, cwd=REPOSITORY, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:5])} … ended with {done.returncode}")


if __name__ == "__main__":
    print(f"{fetch(Path(sys.argv[1]).absolute()):.1f} MB in {sys.argv[1]}")
