"""HTTP requests as a client without manners makes them: no redirects followed, any header, any account."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPResponse

ADMIN = "captain"
PASSWORD = "canary-pass-%41:@word"


@dataclass(frozen=True)
class Answer:
    """What an HTTP request came back with; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer, too."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


def ask(
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    account: tuple[str, str] | None = (ADMIN, PASSWORD),
    body: object = None,
) -> Answer:
    """One request; with a `body`, it is sent as JSON."""
    request = urllib.request.Request(url, method=method, headers=dict(headers or {}))
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if account:
        request.add_header("Authorization", authorization(*account))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)
    try:
        with opener.open(request, timeout=60) as answer:
            return _read(answer.status, answer)
    except urllib.error.HTTPError as error:
        with error:
            return _read(error.code, error)


def _read(status: int, answer: HTTPResponse | urllib.error.HTTPError) -> Answer:
    return Answer(status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())


def authorization(user: str, password: str) -> str:
    """The header's value for basic authentication."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


@dataclass(frozen=True)
class Either:
    """One of the two forms of the server."""

    url: str
    account: tuple[str, str]

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request with the right password."""
        return ask(self.url + path, method, headers, self.account, body)
