"""A unit of systemd that has `trainer queue work` run for a user, after a restart of the machine too."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from trainer import atomic_files
from trainer.errors import FileError
from trainer.workspace.settings import Workspace

_MARK = "# Written by `trainer queue install`."
_KEPT = ("PATH", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "TRAINER_BASE_IMAGE", "XDG_STATE_HOME")
"""Variables of the shell that the starting of a run may depend on."""


@dataclass(frozen=True)
class Unit:
    """The unit: where it goes, and what it says."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """As `systemctl` knows it."""
        return self.path.name

    @property
    def commands(self) -> tuple[str, str]:
        """What its user types to have it run."""
        return "systemctl --user daemon-reload", f"systemctl --user enable --now {self.name}"


def unit(workspace: Workspace) -> Unit:
    """That of the workspace. Nothing is written."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    command = [sys.executable, "-m", "trainer", "--workspace", str(workspace.root), "queue", "work"]
    variables = [
        f"Environment={_quoted(f'{name}={os.environ[name]}')}" for name in _KEPT if os.environ.get(name)
    ]
    lines = [
        _MARK,
        "[Unit]",
        f"Description=The queue of the trainer workspace {_escaped(str(workspace.root))}",
        "",
        "[Service]",
        f"ExecStart={' '.join(map(_quoted, command)).replace('$', '$$')}",
        f"WorkingDirectory={_escaped(str(workspace.root))}",
        *variables,
        "Restart=on-failure",
        "RestartSec=30",
        "# What looks after the runs goes on when this service is stopped.",
        "KillMode=process",
        "",
        "[Install]",
        "WantedBy=default.target",
        "",
    ]
    path = base / "systemd" / "user" / f"trainer-queue-{workspace.identity}.service"
    return Unit(path, "\n".join(lines))


def install(made: Unit) -> None:
    """Write it. Raises `FileError` where somebody else's file is in its place."""
    if made.path.exists() and not made.path.read_text(encoding="utf-8").startswith(_MARK):
        raise FileError(
            f"{made.path} was not written by trainer.",
            "Move it away, or look at ours: trainer queue install --dry-run",
        )
    made.path.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.write(made.path, made.text.encode())


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    escaped = _escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
