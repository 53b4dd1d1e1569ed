"""What a Dockerfile installs, read and not executed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from trainer import image_reference
from trainer.errors import InvalidInput
from trainer.projects.requirement_lines import decoded
from trainer.scaffold import dockerfile_format, requirements_file
from trainer.scaffold.dockerfile_format import Instruction, Stage
from trainer.scaffold.image_contents import Contents, LeftOut

_WHY = {
    "ENV": "variables are set in docker_env.environment of an MLproject",
    "COPY": "a run has the files of its project",
    "ADD": "a run has the files of its project",
    "CMD": "the MLproject says what is run",
    "ENTRYPOINT": "the MLproject says what is run",
    "USER": "a run has the user who starts it",
    "WORKDIR": "a run works in the folder of its project",
}
_OLDER_PYTHON = re.compile(r"(?:.*/)?python:(?:2|3\.(?:\d|10)(?!\d))")
_DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?(?:=[\w.+:~-]+)?")
# What changes nothing of what is installed, or what the build of an image does by itself.
_NEEDLESS = re.compile(
    r"(set( [-+]\w+| pipefail)+|apt(-get)?( -\S+)* (update|clean|autoclean)( -\S+)*"
    r"|rm( -\w+)+( /var/lib/apt/lists\S*| /var/cache/apt\S*| \S+/\.cache\S*)+|pip3? cache purge|true|:)"
)
_PREFIX = re.compile(r"(DEBIAN_FRONTEND|PIP_NO_CACHE_DIR|PIP_ROOT_USER_ACTION)=\S*")
_APT = re.compile(r"apt(?:-get)?(?: -\S+)* install ")
_APT_FLAGS = re.compile(r"-[yqf]+|--(yes|assume-yes|quiet|no-install-(recommends|suggests)|fix-missing)")
_PIP = re.compile(r"(?:(?:python[\d.]* -m )?pip[\d.]*|uv pip) install ")
# An argument that stands for packages, and no more than that: a path, an address, or a variable.
_ONE_PACKAGE = re.compile(r"[./]|\$|[\w+.-]+(==|>=|~=)?\$|(git\+)?[a-z]+://|git\+")
_PIP_FLAGS = re.compile(
    r"-[Uqv]+|--(upgrade|quiet|verbose|user|system|no-cache|no-cache-dir|no-input|no-compile|compile|prefer-binary"
    r"|disable-pip-version-check|break-system-packages|no-warn-script-location)"
    r"|--(root-user-action|progress-bar|timeout|default-timeout|retries)=.*"
)


def read(path: Path) -> Contents:
    """What the last stage installs, and what else the file says.

    Raises `InvalidInput` where it has no stage, or where a requirements.txt that it installs is not beside it
    or cannot be taken.
    """
    stages, before = dockerfile_format.stages(decoded(path.read_bytes()))
    if not stages:
        raise InvalidInput(f"{path} has no FROM: it is not a Dockerfile.", "Specify another file.")
    reader = _Reader(path)
    for each in before:
        reader.leave_out(each)
    line = [*stages[-1].line()]
    for stage in stages:
        if stage in line:
            reader.read(stage)
        else:
            for each in (stage.start, *stage.instructions):
                reader.leave_out(each, "the last stage is not built on it")
    return reader.contents(line[0])


class _Reader:
    """Gathers what the stages say."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._requirements: list[str] = []
        self._apt: list[str] = []
        self._left_out: list[LeftOut] = []
        self._copies: list[Instruction] = []
        self._installed_files: set[str] = set()

    def leave_out(self, instruction: Instruction, why: str = "", what: str = "") -> None:
        """Say that the image does not get it, or no more of it than `what` is not."""
        shown = what or str(instruction)
        self._left_out.append(LeftOut(self._path, instruction.line, f"{shown}: {why}" if why else shown))

    def read(self, stage: Stage) -> None:
        """Take what the stage installs."""
        for each in stage.instructions:
            if each.name == "RUN":
                self._read_run(each)
            elif each.name in ("COPY", "ADD"):
                self._copies.append(each)  # perhaps of a file that is installed later
            else:
                self.leave_out(each, _WHY.get(each.name, ""))

    def contents(self, stage: Stage) -> Contents:
        """All of it, with the base of the first stage."""
        for copy in self._copies:
            sources = [word for word in copy.text.split() if not word.startswith("--")][:-1]
            if not sources or any(Path(each).name not in self._installed_files for each in sources):
                is_of_image = "--from=" in copy.text
                self.leave_out(copy, "its files are of another image" if is_of_image else _WHY[copy.name])
        base = self._base(stage)
        return Contents(
            file=self._path,
            requirements=tuple(dict.fromkeys(self._requirements)),
            apt=tuple(dict.fromkeys(self._apt)),
            base_image=base,
            base_line=stage.start.line if base else 0,
            left_out=tuple(sorted(self._left_out)),
        )

    def _base(self, stage: Stage) -> str | None:
        try:
            base = image_reference.check(stage.base, "FROM")
        except InvalidInput:
            self.leave_out(stage.start, "its name depends on how it is built")
            return None
        if base == "scratch" or _OLDER_PYTHON.match(base):
            self.leave_out(stage.start, "an image has Python 3.11 or later")
            return None
        if "--platform" in stage.start.text:
            self.leave_out(stage.start, "the image is for the engine's own platform", "--platform")
        return base

    def _read_run(self, run: Instruction) -> None:
        for words in dockerfile_format.commands(run.text):
            while words and _PREFIX.fullmatch(words[0]):
                words = words[1:]
            command = " ".join(words)
            if not command or _NEEDLESS.fullmatch(command):
                continue
            why = ""
            if apt := _APT.match(command):
                why = self._read_apt(words[apt[0].count(" ") :])
            elif pip := _PIP.match(command):
                why = self._read_pip(run, words[pip[0].count(" ") :])
            if why or not (apt or pip):
                self.leave_out(run, why, f"RUN {dockerfile_format.beginning(words)}")

    def _read_apt(self, arguments: Sequence[str]) -> str:
        """Take the packages; says why not, where that cannot be."""
        names = [word for word in arguments if not _APT_FLAGS.fullmatch(word)]
        for name in names:
            if not _DEBIAN_PACKAGE.fullmatch(name):
                return f"{_without_value(name)} is not a Debian package"
        self._apt += names
        return ""

    def _read_pip(self, run: Instruction, arguments: Sequence[str]) -> str:
        """Take the packages, and those of the files; says why not, where that cannot be."""
        requirements, files, others = [], [], []
        words = iter(arguments)
        for word in words:
            if word in ("-r", "--requirement"):
                files.append(next(words, ""))
            elif word.startswith(("-r", "--requirement=")):
                files.append(word.removeprefix("--requirement=").removeprefix("-r"))
            elif requirements_file.package(word):
                requirements.append(word)
            elif _ONE_PACKAGE.match(word):
                others.append(word)
            elif not _PIP_FLAGS.fullmatch(word):
                return f"{_without_value(word)} is not a package of a registry"
        for file in files:
            requirements += self._read_file(run, file)
        self._requirements += requirements
        if others:
            verb = "is not a package" if len(others) == 1 else "are not packages"
            return f"{', '.join(map(_without_value, others))} {verb} of a registry"
        return ""

    def _read_file(self, run: Instruction, name: str) -> Sequence[str]:
        """The packages of a file beside the Dockerfile, wherever the build copies it to."""
        places = (self._path.parent / name.lstrip("/"), self._path.parent / Path(name).name)
        place = next((each for each in places if name and each.is_file()), None)
        if place is None:
            raise InvalidInput(
                f"{self._path}, line {run.line}: {name or '-r'} is not beside the Dockerfile.",
                "Put it there, or take the packages of another file: --from requirements.txt",
            )
        self._installed_files.add(place.name)
        return requirements_file.read(place)


def _without_value(word: str) -> str:
    """Of an option its name, and no address: these may be secret."""
    return "an address" if "://" in word and not word.startswith("-") else word.partition("=")[0]
