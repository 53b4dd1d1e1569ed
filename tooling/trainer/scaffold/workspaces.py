"""A new workspace: its folders and files, planned first; what is there already stays as it is."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainer import atomic_files, git, subprocesses
from trainer.errors import InvalidInput
from trainer.scaffold import settings_file
from trainer.workspace import resources
from trainer.workspace.settings import SETTINGS_FILE

_SHIPPED = (".gitignore", "secrets.env.example", "data/.gitignore", "data/README.md")
_FOLDERS = ("train_code", "data")
# Without these lines in its .gitignore, git would commit secrets or what trainer keeps.
IGNORED = ("secrets.env", ".trainer/", "mlruns/")


@dataclass(frozen=True)
class Plan:
    """What making a workspace in `root` comes to."""

    root: Path
    files: Mapping[str, bytes]
    """To be made: name → content."""
    there: tuple[str, ...]
    """Files that are there, and stay as they are."""
    ignore: tuple[str, ...]
    """Lines that are to be added to a .gitignore that is there."""
    begin_git: bool


def plan(root: Path) -> Plan:
    """Look at what there is. Raises `InvalidInput` where a workspace cannot be made."""
    root = root.resolve()
    for folder in (*reversed(root.parents), root, *(root / name for name in _FOLDERS)):
        if folder.exists() and not folder.is_dir():
            raise InvalidInput(
                f"{folder} is in the way: it is not a folder.", "Move it away, or name another folder."
            )
    files = {SETTINGS_FILE: settings_file.text().encode()}
    files |= {name: resources.place(name).read_bytes() for name in _SHIPPED}
    existing = tuple(name for name in files if (root / name).exists() or (root / name).is_symlink())
    return Plan(
        root=root,
        files={name: content for name, content in files.items() if name not in existing},
        there=existing,
        ignore=_not_ignored(root / ".gitignore"),
        begin_git=shutil.which("git") is not None and not _is_in_git(root),
    )


def make(planned: Plan) -> None:
    """Make what is planned; raises `InvalidInput` where the folder cannot be written to."""
    try:
        for name in (*_FOLDERS, "."):
            (planned.root / name).mkdir(parents=True, exist_ok=True)
        if planned.ignore:
            _ignore(planned.root / ".gitignore", planned.ignore)
        for name, content in sorted(planned.files.items()):  # .gitignore is the first of them
            path = planned.root / name
            atomic_files.beside(path).write_bytes(content)
            atomic_files.rename(atomic_files.beside(path), path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InvalidInput(
            f"{error.filename} cannot be made: {error.strerror}.",
            "Fix the cause, or name another folder; the same command creates what is missing.",
        ) from None
    if planned.begin_git:
        subprocesses.capture(git.command("init", "--quiet"), cwd=planned.root)


def _not_ignored(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    lines = {
        line.strip().strip("/") for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    }
    return tuple(name for name in IGNORED if name.strip("/") not in lines)


def _ignore(path: Path, names: tuple[str, ...]) -> None:
    before = path.read_bytes()
    gap = b"" if before.endswith(b"\n") or not before else b"\n"
    atomic_files.write(path.resolve(), before + gap + "\n".join((*names, "")).encode())


def _is_in_git(root: Path) -> bool:
    folder = next(folder for folder in (root, *root.parents) if folder.is_dir())
    return git.work_tree(folder) is not None
