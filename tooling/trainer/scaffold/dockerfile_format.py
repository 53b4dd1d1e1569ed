"""The format of a Dockerfile: its instructions, its stages, and the commands of a RUN."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_HEREDOC = re.compile(r"<<-?([\"']?)(\w+)\1")
_FROM = re.compile(r"(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_RUN_OPTIONS = re.compile(r"(?:--\w+(?:=\S+)?\s+)+")


@dataclass(frozen=True)
class Instruction:
    """One of a Dockerfile; `line` is where it begins."""

    line: int
    name: str
    text: str

    def __str__(self) -> str:
        """Its beginning, with no value of a variable and no address: these may be secret."""
        if self.name in ("ENV", "ARG"):
            names = re.findall(r"(?:^|\s)(\w+)=", self.text) or self.text.split()[:1]
            return f"{self.name} {', '.join(names)}"
        return f"{self.name} {beginning(self.text.split())}"


@dataclass(frozen=True)
class Stage:
    """What one FROM begins; `parent` is the stage that it is built on."""

    start: Instruction
    base: str
    name: str
    parent: Stage | None
    instructions: list[Instruction] = field(default_factory=list)

    def line(self) -> Iterator[Stage]:
        """The stage after those it is built on."""
        if self.parent:
            yield from self.parent.line()
        yield self


def stages(text: str) -> tuple[list[Stage], list[Instruction]]:
    """The stages, and what comes before the first one and is not the default of a variable in a FROM."""
    found: list[Stage] = []
    before: list[Instruction] = []
    defaults: dict[str, str] = {}
    for each in _instructions(text):
        if each.name == "FROM" and (said := _FROM.fullmatch(each.text)):
            base = _VARIABLE.sub(lambda name: defaults.get(name[1] or name[2], name[0]), said[1])
            parent = next((stage for stage in found if stage.name == base.lower()), None)
            found.append(Stage(each, base, (said[2] or "").lower(), parent))
        elif found:
            found[-1].instructions.append(each)
        elif each.name == "ARG" and "=" in each.text:
            name, _, value = each.text.partition("=")
            defaults[name.strip()] = value.strip().strip("\"'")
        else:
            before.append(each)
    return found, before


def commands(run: str) -> list[list[str]]:
    """The words of the commands of a RUN, split at `&&` and `;`: a pipe, say, is one command."""
    text = _RUN_OPTIONS.sub("", run, count=1) if run.startswith("--") else run
    try:
        if text.startswith("["):
            return [[str(word) for word in json.loads(text)]]
        lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, ""
        words = list(lexer)
    except ValueError:  # a quotation mark is missing, or it is no JSON
        return [text.split()]
    found: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", ";"):
            found.append([])
        else:
            found[-1].append(word)
    return found


def beginning(words: Sequence[str]) -> str:
    """The first word, if that cannot be secret."""
    shown = [word for word in words[:1] if "=" not in word and "://" not in word]
    return " ".join([*shown, *(["…"] if len(shown) < len(words) else [])])


def _instructions(text: str) -> Iterator[Instruction]:
    """Each with its continued lines as one, and without comments."""
    parts: list[str] = []
    start = 0
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if line.lstrip().startswith("#") or not line.strip():
            continue
        start = start if parts else number
        parts.append(line.strip().removesuffix("\\"))
        if line.rstrip().endswith("\\"):
            continue
        instruction = _instruction(start, parts)
        parts = []
        yield instruction
        if instruction.name in ("RUN", "COPY", "ADD"):
            for _, end in _HEREDOC.findall(instruction.text):
                next((number for number, each in lines if each.strip() == end), None)
    if parts:
        yield _instruction(start, parts)


def _instruction(line: int, parts: Sequence[str]) -> Instruction:
    name, *rest = " ".join(parts).split(maxsplit=1)
    return Instruction(line, name.upper(), "".join(rest).strip())
