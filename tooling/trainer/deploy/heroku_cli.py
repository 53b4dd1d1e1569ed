"""The official `heroku` command: who is logged in, and what it does better than a bare request."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

from trainer import subprocesses
from trainer.deploy.plan import Command
from trainer.errors import DeployError

TOKEN_S = 120


def token(command: Command) -> str:
    """What proves who is logged in. It is read from a pipe and never shown.

    Raises `DeployError` where the program is missing or nobody is logged in.
    """
    try:
        process = subprocess.run(
            command.argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=TOKEN_S,
        )
    except FileNotFoundError:
        raise _missing() from None
    except subprocess.TimeoutExpired:
        raise DeployError(
            f"`{command}` gave no answer in {TOKEN_S} s.", "Run it yourself and see what it waits for."
        ) from None
    lines = process.stdout.split()
    if process.returncode != 0 or not lines:
        message = error_message(process.stderr.splitlines())
        if process.returncode == 0 or message == "not logged in":
            raise DeployError("The heroku command is not logged in.", "heroku login")
        raise DeployError(f"`{command}` failed: {message}", "heroku login")
    return lines[-1]


def run(command: Command, report: Callable[[str], None]) -> None:
    """Run it, its output line by line to `report`. Raises `DeployError` with what it complains of."""
    output: list[str] = []
    try:
        for line in subprocesses.lines(command.argv):
            output.append(line)
            report(line)
    except FileNotFoundError:
        raise _missing() from None
    except subprocess.CalledProcessError:
        raise DeployError(
            f"`{command}` failed: {error_message(output)}",
            "Fix the cause, then run the same command again: it continues from here.",
        ) from None


def error_message(lines: list[str]) -> str:
    """The error among a command's output: `Error: …`, which it folds over several lines, as one."""
    # Its margin and its colours.
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip().removeprefix("\u203a").strip() for line in lines]
    start = next((index for index, line in enumerate(plain) if line.startswith("Error:")), None)
    if start is None:
        return next((line for line in reversed(plain) if line), "it said nothing.")
    end = next((index for index in range(start, len(plain)) if not plain[index]), len(plain))
    return " ".join(plain[start:end]).removeprefix("Error:").strip()


def _missing() -> DeployError:
    return DeployError(
        "The program heroku is not installed.",
        "npm install --global heroku (https://devcenter.heroku.com/articles/heroku-cli), then: heroku login",
    )
