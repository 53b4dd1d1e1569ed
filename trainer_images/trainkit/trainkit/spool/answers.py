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


class Away(Exception):
    """The server cannot be reached, or does not do now what it will do later. The text says which."""


class NoAnswer(Away):
    """The server answers nothing at all."""


class Dropped(NoAnswer):
    """The connection was closed instead: a server does that with one that was idle, at any moment."""


class Stuck(Away):
    """The server fails at one record alone."""


class Answer(NamedTuple):
    """What the server said."""

    status: int
    text: str
    by: str = ""
    """The header `Server`."""

    def json(self) -> Record:
        """The answer's object; raises `Away` for what is no answer of MLflow's."""
        with contextlib.suppress(ValueError):
            said = json.loads(self.text or "{}")
            if isinstance(said, dict):
                return said
        raise Away(_NOT_MLFLOW)


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


def check(answer: Answer) -> None:
    """Raise `Away` for a success that is a page, perhaps to log in: of MLflow there is none."""
    with contextlib.suppress(ValueError):
        json.loads(answer.text)
        return  # a name or tag in it may well have a page's marks
    if _PAGE.search(answer.text):
        raise Away(_NOT_MLFLOW)


def error_text(answer: Answer) -> str:
    """MLflow's own sentence, or what the page says that was answered; one line."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        return plain(str(json.loads(answer.text)["message"]))
    return plain(answer.text)


def plain(text: str) -> str:
    """A text that somebody else wrote in one short line: of a page of HTML its title, or what it says.

    Of a database's failure it is what the database said, without the statement and its values.
    """
    text = _AUTOFLUSH.sub("", _STATEMENT.split(text, 1)[0])
    if _PAGE.search(text):
        page = _Page()
        page.feed(text[: 1 << 16])
        text = page.title or page.said
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.title = self.said = ""
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 (html.parser's)
        if tag in ("title", "script", "style"):
            self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._within:
            self._within.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.said += f" {data}"
        elif self._within == ["title"]:
            self.title += data


def is_full(text: str) -> bool:
    """Whether a server says that its disk is full, in the words of SQLite, PostgreSQL or the system."""
    return any(said in text for said in ("disk is full", "No space left on device", "Disk quota exceeded"))


def why(answer: Answer) -> str:
    """Why this server takes nothing now, in words for `Away`."""
    if answer.status >= 500 and is_full(answer.text):
        return "the server's disk is full"
    if answer.status in (401, 403):
        return f"the server refuses our user name and password ({answer.status})"
    return said(answer)


def said(answer: Answer) -> str:
    """`the server answered 400: Invalid name`; of what stands in front of the server, by its own name."""
    if error_code(answer) is not None:
        who, rest = "the server", error_text(answer)
    else:
        in_front = answer.by and not answer.by.lower().startswith(_APP_SERVERS)
        who = f"{plain(answer.by)[:40]}, in front of the server," if in_front else "the server"
        rest = error_text(answer).removeprefix(f"{answer.status} ")
    if answer.status == 413 and error_code(answer) is None:
        rest = f"{rest.rstrip('.') or 'too large'}, by its limit for a request (nginx: client_max_body_size)"
    return f"{who} answered {answer.status}{f': {rest}' if rest else ''}"


def store_directly(address: str, uri: str, folder: str, file: Path) -> Answer:
    """By MLflow's own client, which knows every store and sends large files in parts. Raises `Away`."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        get_artifact_repository(uri, tracking_uri=address).log_artifact(str(file), folder or None)
    except Exception as problem:
        if uri.startswith("mlflow-artifacts:") and (answer := answered(problem)):
            return answer
        raise Away(f"{file.name} could not be stored at {uri}: {type(problem).__name__}") from problem
    return Answer(200, "{}")


def answered(problem: BaseException) -> Answer | None:
    """What the server answered, if an exception of MLflow's client is about that."""
    from requests import HTTPError

    inner: BaseException | None = problem
    while inner is not None:
        if isinstance(inner, HTTPError) and inner.response is not None:
            response = inner.response
            return Answer(response.status_code, response.text, response.headers.get("Server", ""))
        inner = inner.__cause__ or inner.__context__
    return None
