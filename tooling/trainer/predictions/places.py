"""Where a workspace has the logs of what its served models have answered."""

from __future__ import annotations

from pathlib import Path

from trainer.errors import FileError
from trainer.workspace.settings import Workspace

FILE = "predictions.sqlite"


def folder(workspace: Workspace, name: str) -> Path:
    """That of a model, by the name that it is served under."""
    return workspace.state / "predictions" / name


def make(folder: Path) -> None:
    """Make the folder, for nobody else. Raises `FileError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"The folder {folder} of the prediction log cannot be made: {error.strerror}.",
            "Make room for it, or do without a log: --no-log",
        ) from None


def names(workspace: Workspace) -> list[str]:
    """The models that have a log."""
    return sorted(path.parent.name for path in (workspace.state / "predictions").glob(f"*/{FILE}"))
