"""`trainer secrets check`: whether secrets.env is kept to oneself, is valid, and has what projects need."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from trainer.counted import counted
from trainer.errors import FileError, TrainerError
from trainer.maintenance.doctor import Check
from trainer.masking import SHORTEST_MASKED
from trainer.projects import mlproject, sources
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace


def checks(workspace: Workspace) -> Iterator[Check]:
    """Whether secrets.env is kept to oneself, is understood, and has what the projects need."""
    path = workspace.secrets_file
    leaks = list(secrets.leaks(path))
    for leak in leaks:
        yield Check(path.name, "failure", leak.message, leak.hint)
    commit = None
    with contextlib.suppress(FileError):  # that is one of the leaks
        commit = secrets.in_history(path)
    if commit:
        yield Check(path.name, "warning", f"an earlier commit has it: {commit}",
                    "Change every secret that was in it, where it was pushed or shared. To take it out of "
                    f"the history: git filter-repo --invert-paths --path {path.name}")  # fmt: skip
    try:
        loaded = secrets.read(workspace)
    except TrainerError as error:
        yield Check(path.name, "failure", error.message, error.hint)
        return
    if not leaks:
        summary = (
            f"{counted(len(loaded.values), 'secret')}, for you alone" if path.exists() else "not there yet"
        )
        yield Check(path.name, "ok", f"{summary}; git does not commit it")
    for name in sorted(loaded.values.keys() - secrets.NOT_SECRET):
        if len(loaded.values[name]) < SHORTEST_MASKED:
            yield Check(name, "warning", f"its value cannot be masked in output: {secrets.TOO_SHORT}",
                        "Take a longer one where you can choose.")  # fmt: skip
    for name, users in needed_secrets(workspace).items():
        by = f"needed by {', '.join(users)}"
        if loaded.get(name):
            where = path.name if name in loaded.values else "the environment"
            yield Check(name, "ok", f"in {where}, {by}")
        else:
            yield Check(name, "failure", f"not set, {by}", f"trainer secrets set {name}")


def needed_secrets(workspace: Workspace) -> dict[str, list[str]]:
    """Variable → the projects that take it from the host; one that is invalid is passed over."""
    needed: dict[str, list[str]] = {}
    for project in sources.names(workspace):
        with contextlib.suppress(TrainerError):
            for name, value in mlproject.load(workspace.projects / project).environment:
                if value is None:
                    needed.setdefault(name, []).append(project)
    return dict(sorted(needed.items()))
