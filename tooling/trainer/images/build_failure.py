"""Why a build failed: what the step that failed said at its end; a cause that is known, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_ENDED = re.compile(r"#(\d+) ERROR: ")
_FAILED = re.compile(r'(?:ERROR: )?failed to solve: (?:process ".*" did not complete successfully: )?(.+)')
# What uv and pip draw in front of a line, and what they add behind the cause.
_DRAWN = re.compile(r"^[\s×╰├│─▶]+")  # noqa: RUF001 (uv's own sign)
_ADVICE = re.compile(r"^(hint:|\[?notice\]?|WARNING:|warning:)")
_FULL = "no space left on device"
_SHOWN = 10
_LONGEST = 200
_ROOM = "Make room: trainer gc, docker system df. "
_NAMES = "Correct its name or version, and compile the lock again: trainer images add. "
_LOCK = "Compile the lock again: trainer images add. "
_NETWORK = "Check the connection and the proxy, then repeat the command. "
_MEMORY = "Close other programs, or give the engine more memory. "
_APT = "Correct apt: in its image.yaml. "
_NO_NETWORK = "|".join(
    (
        "temporary failure (?:in name resolution|resolving)",
        "failed to lookup address",
        "could not resolve",
        "no such host",
        "network is unreachable",
        "name or service not known",
        "dns error",
        "tls handshake timeout",
        "connection (?:refused|timed out)",
        "i/o timeout",
    )
)
_NONE = "the package registry has no {}."
_OTHER_HASH = "what was downloaded for {} is not what its lock has the hash of."
# What uv, pip, apt, the kernel and BuildKit say, the cause in words ({} is what was found), and what to do.
_CAUSES = (
    (rf"(?i)({_FULL})", "the disk is full ({}).", _ROOM),
    (rf"(?i)((?:{_NO_NETWORK})[^\n]*)", "there is no way out to the network ({}).", _NETWORK),
    (r"Because (?:only )?(\S+) was not found in the package registry", _NONE, _NAMES),
    (r"Because there is no version of (\S+?)(?: and|,|$)", _NONE, _NAMES),
    (r"No matching distribution found for (\S+)", _NONE, _NAMES),
    (r"(?i)hash mismatch for `?([^\s`]+)", _OTHER_HASH, _LOCK),
    (r"DO NOT MATCH THE HASHES(?s:.*?)\n\s*(\S+)", _OTHER_HASH, _LOCK),
    (r"E: Unable to locate package (\S+)", "Debian has no package {}.", _APT),
    (r"E: Package '(\S+)' has no installation candidate", "Debian has no package {}.", _APT),
    (r"`(\S+)` requires `(\S+?)`, but it's not installed", "its lock lacks {1}, which {0} needs.", _LOCK),
    (r"exit code: (137)", "a process was killed, which happens when memory is short.", _MEMORY),
)


@dataclass(frozen=True)
class Failure:
    """The cause in one line, and what helps; `advice` ends in a space, or is empty where nobody knows."""

    cause: str
    advice: str = ""


def explained(lines: Sequence[str]) -> Failure:
    """Of the output of `docker buildx build --progress=plain`. A full disk comes before all else."""
    said = "\n".join([*_output(lines), *_solved(lines)])
    for pattern, cause, advice in _CAUSES:
        if match := re.search(pattern, said):
            return Failure(cause.format(*(group.strip()[:_LONGEST] for group in match.groups())), advice)
    return Failure(_last(lines))


def end(lines: Sequence[str]) -> list[str]:
    """The last lines of the step that failed, as they were printed; of the whole build where none did."""
    said = [line for line in _step(lines) if line.strip()]
    return (said or [line for line in lines if line.strip()])[-_SHOWN:]


def is_full(why: str) -> bool:
    """Whether the cause is a full disk."""
    return _FULL in why.lower()


def undrawn(line: str) -> str:
    """A line of uv's or pip's without what they draw in front of it."""
    return _DRAWN.sub("", line).strip()


def _last(lines: Sequence[str]) -> str:
    reasons = [line for line in _output(lines) if line and not _ADVICE.match(line)]
    other = [line.strip() for line in lines if line.strip()]
    return next(reversed(reasons or _solved(lines) or other), "no output")


def _output(lines: Sequence[str]) -> list[str]:
    return [undrawn(line) for line in _step(lines)]


def _solved(lines: Sequence[str]) -> list[str]:
    return [match.group(1).strip() for line in lines if (match := _FAILED.match(line))]


def _step(lines: Sequence[str]) -> list[str]:
    """What the step that failed said; nothing where BuildKit does not tell."""
    ended = [match.group(1) for line in lines if (match := _ENDED.match(line))]
    output = re.compile(rf"#{ended[-1]} \d+\.\d+ (.*)") if ended else None
    return [match.group(1) for line in lines if (match := output.match(line))] if output else []
