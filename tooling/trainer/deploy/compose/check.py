"""Whether docker compose, where it is installed, takes the files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from trainer.errors import DeployError, InvalidInput
from trainer.subprocesses import capture

FILE = "compose.yaml"
OTHERS = ("compose.yml", "docker-compose.yaml", "docker-compose.yml")
_MISSING = (
    "docker compose is not installed here, so the files were not checked. To run them: apt-get install "
    "docker-compose-plugin (Docker's packages) or docker-compose (Debian 13)."
)


def alone(folder: Path) -> None:
    """Raise `InvalidInput` where the folder has another file that compose would read."""
    for name in OTHERS:
        if (folder / name).exists():
            raise InvalidInput(
                f"{folder / name} is there: compose takes one file of a folder.",
                "Nothing was written. Move it away, or choose another folder: -o DIR",
            )


def config(folder: Path) -> str | None:
    """Have it read the file with every profile; a remark where it is not installed.

    Raises `DeployError` with what it says, where it refuses the file. Nothing that .env has is printed.
    """
    if shutil.which("docker") is None or capture(["docker", "compose", "version"]) is None:
        return _MISSING
    argv = [
        *("docker", "compose", "--project-directory", str(folder), "--file", str(folder / FILE)),
        *("--profile", "*", "config", "--quiet"),
    ]
    process = subprocess.run(argv, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if process.returncode == 0:
        return None
    said = next((line for line in reversed(process.stderr.splitlines()) if line.strip()), "it said nothing.")
    raise DeployError(
        f"docker compose refuses {folder / FILE}: {said.strip()}", "Fix the line that it names."
    )
