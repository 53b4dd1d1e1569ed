"""What the tracking server's version of MLflow means for runs: whether it takes them, and at what cost."""

from __future__ import annotations

import re

from trainer.errors import TrackingError
from trainer.tracking.endpoint import Server

OLDEST = (2, 9)
LOGGED_MODELS = (3, 0)


class TooOld(TrackingError):
    """The tracking server has an MLflow that runs of this trainer cannot report to."""


def check(server: Server, version: str) -> None:
    """Raise `TooOld` for a server of a version before `OLDEST`."""
    parsed = _parsed(version)
    if parsed and parsed < OLDEST:
        raise _too_old(server, version)


def untold(server: Server) -> TooOld:
    """What it means that a tracking server does not tell its version: those of MLflow 1 cannot."""
    return _too_old(server, "so old that it does not tell its version")


def _too_old(server: Server, version: str) -> TooOld:
    return TooOld(
        f"The tracking server {server.uri} needs MLflow {_written(OLDEST)} or newer; it is {version}.",
        "Upgrade it (mlflow db upgrade), or copy its runs to a newer one: trainer server copy-runs --help",
    )


def cost(version: str) -> str | None:
    """What a server of this version does not have."""
    parsed = _parsed(version)
    if parsed and parsed < LOGGED_MODELS:
        return f"no logged models, which came with MLflow {_written(LOGGED_MODELS)}"
    return None


def remark(server: Server, version: str) -> str | None:
    """What the user of an image with an MLflow of its own should know before a run: trainkit is not there."""
    if loss := cost(version):
        return (
            f"The tracking server {server.uri} has {loss}.\n"
            "The run's image has an MLflow of its own: MLflow 3 fails there at log_model, MLflow 2 does not."
        )
    return None


def _parsed(version: str) -> tuple[int, int] | None:
    """None for what is no version: whatever answers there, the next question shows what it is."""
    match = re.match(r"(\d{1,4})\.(\d{1,4})", version)
    return (int(match[1]), int(match[2])) if match else None


def _written(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
