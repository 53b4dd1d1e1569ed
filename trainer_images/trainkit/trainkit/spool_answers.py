"""What a tracking server says to a request, and the way a request goes to it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from trainkit.spool_journal import Record

API = "/api/2.0/mlflow"
LOG_BATCH = f"{API}/runs/log-batch"


class Away(Exception):
    """The server cannot be reached, or does not do now what it will do later. The text says which."""


class Stuck(Away):
    """The server fails at one record alone."""


class Answer(NamedTuple):
    """What the server said."""

    status: int
    text: str

    def json(self) -> Record:
        """The answer's object; raises `Away` for what is no answer of MLflow's."""
        with contextlib.suppress(ValueError):
            said = json.loads(self.text or "{}")
            if isinstance(said, dict):
                return said
        raise Away("what answers there is not an MLflow tracking server")


class Transport(Protocol):
    """The way to one server."""

    @property
    def is_launchers(self) -> bool:
        """Whether it has the credentials of stores that are not behind the server."""

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        file: Path | None = None,
    ) -> Answer:
        """One request without repetitions. Raises `Away` when no answer comes in time."""

    def store(self, uri: str, folder: str, file: Path) -> Answer:
        """Store an artifact that is large, or not behind the server. Raises `Away` when that fails."""


def error_code(answer: Answer) -> str | None:
    """MLflow's own word for what is wrong; None where the answer is not of an MLflow server."""
    try:
        said = json.loads(answer.text)
        return str(said["error_code"])
    except (ValueError, LookupError, TypeError):
        return None


def error_text(answer: Answer) -> str:
    """MLflow's own sentence, or all that was answered."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        return str(json.loads(answer.text)["message"])
    return answer.text


def why(answer: Answer) -> str:
    """Why this server takes nothing now, in words for `Away`."""
    if answer.status in (401, 403):
        return f"the server refuses our user name and password ({answer.status})"
    return f"the server answered {answer.status}: {error_text(answer)[:200].strip()}"


def store_directly(address: str, uri: str, folder: str, file: Path) -> Answer:
    """By MLflow's own client, which knows every store and sends large files in parts. Raises `Away`."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        get_artifact_repository(uri, tracking_uri=address).log_artifact(str(file), folder or None)
    except Exception as problem:
        raise Away(f"{file.name} could not be stored at {uri}: {type(problem).__name__}") from problem
    return Answer(200, "{}")
