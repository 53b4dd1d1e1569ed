"""The lock file that an image is installed from: every package by its version and hashes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path

from trainer import subprocesses
from trainer.errors import ImageError, InvalidInput
from trainer.images import build_failure

SOURCE, LOCK = "requirements.in", "requirements.txt"
_COMPILE = ("uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes")
_INDEX = re.compile(r"^(-i|--index-url|--extra-index-url)\b", re.MULTILINE)
_ENTRY = re.compile(r"^([A-Za-z0-9][\w.-]*)==.*(?:\n[ \t].*)*", re.MULTILINE)
_UNSOLVABLE = "No solution found"
_MISSING = re.compile(r"\b(\S+) was not found in the package registry")
_TITLE = re.compile(rf"^(?:error: |cause: |Caused by: )?(?:{_UNSOLVABLE}.*)?")


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


def compile_in(folder: Path, preferred: Iterable[Path] = ()) -> None:
    """Compile the folder's requirements.in to requirements.txt, which asks the package registry.

    Each package has the version of the first of the `preferred` locks that has it, unless what is required
    rules that out. Raises `ImageError` with uv's reason; the folder's lock is unspecified then.
    """
    from uv import find_uv_bin

    _prefer(folder / LOCK, [path.read_text(encoding="utf-8") for path in preferred if path.is_file()])
    source = (folder / SOURCE).read_text(encoding="utf-8")
    # The build has the index from the lock.
    index = ["--emit-index-url"] if _INDEX.search(source) else []
    command = [find_uv_bin(), *_COMPILE[1:], *index, "--quiet", SOURCE, "-o", LOCK]
    # uv wants a Python, and there may be none but ours.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    output: list[str] = []
    try:
        output.extend(subprocesses.lines(command, folder, {**os.environ, "PATH": path}))
    except subprocess.CalledProcessError:
        raise _not_compiled(output) from None


def _prefer(lock: Path, texts: Sequence[str]) -> None:
    """Leave the locks there as one: uv keeps to the versions of the file that it is to write."""
    entries: dict[str, list[str]] = {}
    for text in texts:
        own: dict[str, list[str]] = {}
        for entry in _ENTRY.finditer(text):
            own.setdefault(entry[1], []).append(entry[0])  # several, for several platforms
        entries = own | entries
    lock.write_text("".join(f"{each}\n" for own in entries.values() for each in own), encoding="utf-8")


def _not_compiled(output: Sequence[str]) -> ImageError:
    said = takewhile(lambda line: not line.lstrip().startswith("hint:"), output)
    lines = [line for each in said if (line := _TITLE.sub("", build_failure.undrawn(each)))]
    if any(_UNSOLVABLE in line for line in output):
        if missing := _MISSING.search(" ".join(lines)):
            return ImageError(
                f"There is no package {missing[1]} in the package registry.", "Correct its name."
            )
        return ImageError(
            f"The packages do not go together: {' '.join(lines)}",
            "Correct their names or versions.",
        )
    ends = dict.fromkeys([*lines[:1], *lines[-1:]])  # what failed, and its first cause
    return ImageError(
        f"The lock could not be compiled: {': '.join(ends) or 'no output'}",
        "Check that the package registry can be reached, then try again.",
    )


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
