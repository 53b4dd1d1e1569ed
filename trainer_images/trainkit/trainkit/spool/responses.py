"""What a tracking server says to a request, and the way a request goes to it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple, Protocol

from trainkit.spool.journal import Record

API = "/api/2.0/mlflow"
LOG_BATCH = f"{API}/runs/log-batch"
_NOT_MLFLOW = "what answers there is not an MLflow tracking server"
_PAGE = re.compile("<!doctype|<html|</", re.IGNORECASE)
# What SQLAlchemy puts behind a database's own sentence, and before it; line ends may be escaped as in JSON.
_STATEMENT = re.compile(r"(?:\s|\\n)*(?:\[SQL: |\[parameters: |DETAIL: |\(Background on this error at)")
_AUTOFLUSH = re.compile(r"\(raised as a result of Query-invoked autoflush[^)]*\)(?:\s|\\n)*")
_LONGEST = 300  # characters of what somebody else says
# What MLflow itself is served by: another name in the header `Server` is that of what stands in front of it.
_APP_SERVERS = ("gunicorn", "uvicorn", "waitress", "werkzeug")


class ServerUnavailable(Exception):
    """The server cannot be reached, or does not do now what it will do later. The text says which."""


class NoResponse(ServerUnavailable):
    """The server answers nothing at all."""


class ConnectionDropped(NoResponse):
    """The connection was closed instead: a server does that with one that was idle, at any moment."""


class RecordFailed(ServerUnavailable):
    """The server fails at one record alone."""


class Response(NamedTuple):
    """What the server said."""

    status: int
    text: str
    by: str = ""
    """The header `Server`."""

    def json(self) -> Record:
        """The answer's object; raises `ServerUnavailable` for what is no answer of MLflow's."""
        with contextlib.suppress(ValueError):
            payload = json.loads(self.text or "{}")
            if isinstance(payload, dict):
                return payload
        raise ServerUnavailable(_NOT_MLFLOW)


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
    ) -> Response:
        """One request without repetitions. Raises `ServerUnavailable` when no answer comes in time."""

    def store(self, uri: str, folder: str, file: Path) -> Response:
        """Store an artifact that is large, or not behind the server; raises `ServerUnavailable`."""


def error_code(response: Response) -> str | None:
    """MLflow's own word for what is wrong; None where the answer is not of an MLflow server."""
    try:
        payload = json.loads(response.text)
        return str(payload["error_code"])
    except (ValueError, LookupError, TypeError):
        return None


def check(response: Response) -> None:
    """Raise `ServerUnavailable` for a success that is a page, perhaps to log in: of MLflow there is none."""
    with contextlib.suppress(ValueError):
        json.loads(response.text)
        return  # a name or tag in it may well have a page's marks
    if _PAGE.search(response.text):
        raise ServerUnavailable(_NOT_MLFLOW)


def error_text(response: Response) -> str:
    """MLflow's own sentence, or what the page says that was answered; one line."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        return plain(str(json.loads(response.text)["message"]))
    return plain(response.text)


def plain(text: str) -> str:
    """A text that somebody else wrote in one short line: of a page of HTML its title, or what it says.

    Of a database's failure it is what the database said, without the statement and its values.
    """
    text = _AUTOFLUSH.sub("", _STATEMENT.split(text, 1)[0])
    if _PAGE.search(text):
        page = _Page()
        page.feed(text[: 1 << 16])
        text = page.title or page.text
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.title = self.text = ""
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 (html.parser's)
        if tag in ("title", "script", "style"):
            self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._within:
            self._within.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.text += f" {data}"
        elif self._within == ["title"]:
            self.title += data


def is_full(text: str) -> bool:
    """Whether a server says that its disk is full, in the words of SQLite, PostgreSQL or the system."""
    return any(
        phrase in text for phrase in ("disk is full", "No space left on device", "Disk quota exceeded")
    )


def why(response: Response) -> str:
    """Why this server takes nothing now, in words for `ServerUnavailable`."""
    if response.status >= 500 and is_full(response.text):
        return "the server's disk is full"
    if response.status in (401, 403):
        return f"the server refuses our user name and password ({response.status})"
    return summary(response)


def summary(response: Response) -> str:
    """`the server answered 400: Invalid name`; of what stands in front of the server, by its own name."""
    if error_code(response) is not None:
        who, rest = "the server", error_text(response)
    else:
        in_front = response.by and not response.by.lower().startswith(_APP_SERVERS)
        who = f"{plain(response.by)[:40]}, in front of the server," if in_front else "the server"
        rest = error_text(response).removeprefix(f"{response.status} ")
    if response.status == 413 and error_code(response) is None:
        rest = f"{rest.rstrip('.') or 'too large'}, by its limit for a request (nginx: client_max_body_size)"
    return f"{who} answered {response.status}{f': {rest}' if rest else ''}"


def store_directly(address: str, uri: str, folder: str, file: Path) -> Response:
    """By MLflow's own client, which knows every store and sends large files in parts.

    Raises `ServerUnavailable`.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        get_artifact_repository(uri, tracking_uri=address).log_artifact(str(file), folder or None)
    except Exception as error:
        if uri.startswith("mlflow-artifacts:") and (response := response_of(error)):
            return response
        raise ServerUnavailable(
            f"{file.name} could not be stored at {uri}: {type(error).__name__}"
        ) from error
    return Response(200, "{}")


def response_of(error: BaseException) -> Response | None:
    """What the server answered, if an exception of MLflow's client is about that."""
    from requests import HTTPError

    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, HTTPError) and inner.response is not None:
            response = inner.response
            return Response(response.status_code, response.text, response.headers.get("Server", ""))
        inner = inner.__cause__ or inner.__context__
    return None
