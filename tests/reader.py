"""Somebody who reads a page at a terminal, types its commands, and notices how long nothing happens."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyte
from support import clean_environment

COLUMNS = 80
# What is longer than a line of the terminal is not broken here, so that it can be compared.
_WIDTH, _LINES = 400, 2000
_END = "--- that was it ---"
_NAME = {"AUTHOR_NAME": "Ada", "AUTHOR_EMAIL": "ada@example.com"}


@dataclass(frozen=True)
class Typed:
    """What came of a command."""

    code: int
    shown: str
    """What stands on the terminal afterwards."""
    silence: float
    """The longest time, in seconds, in which the terminal did not change."""


class Reader:
    """One bash in a terminal: folder, variables and environments stay as they are.

    `answers` are what the reader types at prompts, by how these end. `names` are what the reader has in the
    place of names that a page makes up. `path` is where the reader's programs are.
    """

    def __init__(
        self,
        folder: Path,
        *,
        answers: Mapping[str, str] | None = None,
        names: Mapping[str, str] | None = None,
        path: str = "",
    ) -> None:
        self._answers, self._names = dict(answers or {}), dict(names or {})
        ours = str(Path(sys.prefix) / "bin")
        folders = [part for part in os.environ["PATH"].split(os.pathsep) if part != ours]
        git = {f"GIT_{key}": value for key, value in _NAME.items()}
        git |= {key.replace("AUTHOR", "COMMITTER"): value for key, value in git.items()}
        self._terminal, inner = os.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        commands, self._commands = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", f"/dev/fd/{commands}"],
            cwd=folder,
            env={
                **{key: value for key, value in clean_environment().items() if key != "CI"},
                **git,
                "PATH": os.pathsep.join(filter(None, [path, *folders])),
                "TERM": "xterm-256color",
            },
            stdin=inner,
            stdout=inner,
            stderr=inner,
            pass_fds=[commands],
            preexec_fn=lambda: _take_terminal(inner),
        )
        os.close(inner)
        os.close(commands)

    def type(self, command: str) -> Typed:
        """Type a command, and wait for its end. What is shown has the page's names."""
        for name, actual in self._names.items():
            command = command.replace(name, actual)
        screen = pyte.Screen(_WIDTH, _LINES)
        stream = pyte.ByteStream(screen)
        os.write(self._commands, f"{{ {command}\n}}\ncode=$?; echo; echo '{_END}' $code\n".encode())
        silence, last = 0.0, time.monotonic()
        while True:
            chunk = self._read()
            now = time.monotonic()
            silence, last = max(silence, now - last), now
            stream.feed(chunk)
            lines = [line.rstrip() for line in screen.display[: screen.cursor.y + 1]]
            if ended := [line for line in lines[-3:] if line.startswith(_END)]:
                code = int(ended[0].removeprefix(_END))
                shown = "\n".join(lines[: lines.index(ended[0])])
                for name, actual in self._names.items():
                    shown = shown.replace(actual, name)
                return Typed(code, shown, silence)
            for prompt, answer in self._answers.items():
                if lines[-1].endswith(prompt.rstrip()):
                    os.write(self._terminal, f"{answer}\n".encode())

    def close(self) -> None:
        """End it."""
        self._bash.kill()
        self._bash.wait()
        os.close(self._terminal)
        os.close(self._commands)

    def _read(self) -> bytes:
        try:
            return os.read(self._terminal, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # the other end is closed
                raise
        raise AssertionError("the shell has ended")


def _take_terminal(terminal: int) -> None:
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
