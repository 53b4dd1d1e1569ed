"""What a lock pins, beside what it was compiled from and what it is installed on top of."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from trainer.errors import ImageError, InvalidInput

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)


def versions(lock: Path) -> dict[str, set[str]]:
    """Package → its version, or several for several platforms."""
    found: dict[str, set[str]] = {}
    for name, version in _PIN.findall(lock.read_text(encoding="utf-8")):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def check_inherited(source: Path, lock: Path, parents: tuple[Path, ...]) -> None:
    """Raises `ImageError` where a version is asked for that is another one than an inherited image has.

    What the packages need in turn may be replaced: the build says where that does not fit.

    `parents` are the locks of these, the nearest first, whose versions are those that are there.
    """
    own = versions(lock)
    requirements = [(line, each) for line, each in _requirements(source) if each.specifier]
    asked: dict[str, str] = {canonicalize_name(each.name): line for line, each in requirements}
    seen: set[str] = set()
    for parent in parents:
        theirs = {name: each for name, each in versions(parent).items() if name not in seen}
        seen |= theirs.keys()
        for name in sorted(own.keys() & theirs.keys() & asked.keys()):
            if not own[name] <= theirs[name]:
                has = f"{parent.parent.name}, which has {name} {' and '.join(sorted(theirs[name]))}."
                raise ImageError(
                    f"{asked[name]} cannot be added to {has}",
                    "Leave the version out, or make an image of its own: without --inherit",
                )


def check_compiled(image: str, source: Path, lock: Path) -> None:
    """Raises `InvalidInput` where the lock is older than what requirements.in asks for."""
    if not source.is_file():
        return
    pinned = versions(lock)
    for line, requirement in _requirements(source):
        has = pinned.get(canonicalize_name(requirement.name), set())
        # Of another platform: none of the lock's.
        if not has and requirement.marker:
            continue
        # Of several versions, for several platforms, each may be another line's.
        if not any(requirement.specifier.contains(version, prereleases=True) for version in has):
            what = f"has {requirement.name} {' and '.join(sorted(has))}" if has else "lacks it"
            raise InvalidInput(
                f"{source} asks for {line}, and {lock.name} {what}.",
                f"Compile it again: trainer images add {image} {shlex.quote(line)}",
            )


def _requirements(source: Path) -> Iterator[tuple[str, Requirement]]:
    """As they are written, without comments. Options, and what has an address, are none."""
    for line in source.read_text(encoding="utf-8").splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if not requirement.url:
            yield text, requirement
