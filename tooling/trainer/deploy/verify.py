"""Whether what was deployed is a tracking server that accepts the password, and no request without it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainer import logs
from trainer.errors import DeployError, TrackingDenied
from trainer.tracking.endpoint import LOOPBACK, Server
from trainer.tracking.failures import refusal

if TYPE_CHECKING:
    import requests

_LOG = logging.getLogger(__name__)
READY_S = 300
POLL_S = 2.0
TIMEOUT_S = 30
_AGAIN = (404, 502, 503, 504)  # what a router says while nothing runs behind it


class _NotReady(Exception):
    """Try again."""


def ready(
    candidates: Sequence[Server], search: str, obstacle: Callable[[], str | None], logs: str
) -> tuple[Server, str]:
    """Wait for the server; which of the candidates it lets in (they differ in who), and its MLflow version.

    `search` is the path of a call that needs a password, `obstacle` says what the platform still has to do,
    and `logs` how one sees what the server says. Raises `DeployError` where it is not ready in time or lets
    in everybody, `TrackingDenied` where it lets in none of the candidates.
    """
    uri = candidates[0].uri
    deadline = time.monotonic() + READY_S
    while True:
        trouble = obstacle()
        if trouble is None:
            try:
                return _attempt(candidates, search)
            except _NotReady as error:
                trouble = str(error)
        if time.monotonic() > deadline:
            raise DeployError(
                f"{uri} is not ready after {READY_S} s: {trouble}.",
                f"See what it says: {logs}. Then run the same command again.",
            )
        time.sleep(POLL_S)


def _attempt(candidates: Sequence[Server], search: str) -> tuple[Server, str]:
    uri = candidates[0].uri
    health = _get(uri, "/health")
    if health.status_code != 200 or health.text.strip() != "OK":
        raise _NotReady(f"/health answers {health.status_code}{', but not OK' if health.ok else ''}")
    open_ = _get(uri, search)
    if open_.ok:
        raise DeployError(f"{uri} answers without a password.", "Do not use it: everybody could.")
    if open_.status_code == 403:
        raise DeployError(
            f"{uri} does not answer to that name.",
            f"Add {urlsplit(uri).hostname} to its variable ALLOWED_HOSTS.",
        )
    if open_.status_code != 401:
        raise refusal(candidates[0], open_)
    for server in candidates:
        response = _get(uri, search, server)
        if response.ok:
            version = _get(uri, "/version", server)
            if version.ok:
                return server, version.text.strip()
            raise refusal(server, version)
        if response.status_code != 401:
            raise refusal(server, response)
    raise TrackingDenied(
        f"{uri} refuses the user {candidates[-1].username} with the password of its config vars.",
        "It was changed since the first start: put user name and password as they are now in secrets.env.",
    )


def _get(uri: str, path: str, server: Server | None = None) -> requests.Response:
    """An answer that is the server's own. A ~/.netrc has no say in who asks."""
    import requests

    try:
        with requests.Session() as session:
            logs.answers_to(session, _LOG)
            session.trust_env = urlsplit(uri).hostname not in LOOPBACK
            response = session.get(
                uri + path, auth=_BasicAuth(server), timeout=TIMEOUT_S, allow_redirects=False
            )
    except requests.RequestException as error:
        raise _NotReady(f"no answer ({type(error).__name__})") from None
    if response.status_code in _AGAIN:
        raise _NotReady(f"{path.partition('?')[0]} answers {response.status_code}")
    return response


class _BasicAuth:
    def __init__(self, server: Server | None) -> None:
        self._server = server

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._server is None:
            return request
        from requests.auth import HTTPBasicAuth

        HTTPBasicAuth(self._server.username or "", self._server.password or "")(request)
        return request
