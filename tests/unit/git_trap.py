"""A git repository that has a program executed by whoever asks git about it unguarded."""

from __future__ import annotations

from pathlib import Path

from unit.helpers import put


class Trap:
    """A program that leaves a mark when it is run."""

    def __init__(self, folder: Path) -> None:
        self.mark = folder / "executed"
        self.program = put(folder / "trap", f"#!/bin/sh\ntouch '{self.mark}'\n[ $# -gt 0 ] || cat\n")
        self.program.chmod(0o755)

    def monitor(self) -> str:
        return f"[core]\nfsmonitor = {self.program}\n"

    def bare_repository(self, folder: Path) -> None:
        """A folder that git takes for a repository whose work tree it is, without a .git in its name."""
        put(folder / "HEAD", "ref: refs/heads/main\n")
        put(folder / "objects" / ".keep")
        put(folder / "refs" / ".keep")
        put(
            folder / "config",
            "[core]\nrepositoryformatversion = 0\nbare = false\nworktree = .\n" + self.monitor(),
        )
