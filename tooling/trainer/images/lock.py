"""The lock file that an image is installed from: every package by its version and hashes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from trainer.errors import InvalidInput

_COMPILE = ("uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes")


def check(image: str, lock: Path) -> None:
    """Raises `InvalidInput` where the image has no lock file, or one that lacks a hash, with how to
    make it.
    """
    if not lock.is_file():
        raise InvalidInput(f"The image {image} has no {lock.name}.", _how_to_make(lock))
    if requirement := _without_hash(lock):
        raise InvalidInput(
            f"{lock} has no hash of {requirement}: images are installed from hashes alone.",
            _how_to_make(lock),
        )


def locked_version(lock: Path, package: str) -> str | None:
    """The version of `package` that the lock file pins, or None."""
    pinned = re.search(rf"^{re.escape(package)}==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return pinned.group(1) if pinned else None


def _without_hash(lock: Path) -> str | None:
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        requirement = line.strip()
        # Comments, and options of pip's such as --index-url, are none.
        if requirement and requirement[0] not in "#-" and "--hash=" not in requirement:
            return requirement.split()[0]
    return None


def _how_to_make(lock: Path) -> str:
    source = lock.with_suffix(".in")
    make = shlex.join([*_COMPILE, str(source), "-o", str(lock)])
    return make if source.is_file() else f"Specify the packages in {source}, one a line. Then: {make}"
