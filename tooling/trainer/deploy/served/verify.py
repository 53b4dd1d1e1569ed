"""Whether what was deployed is the server of this model, and answers nobody without the token."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainer import logs
from trainer.errors import DeployError
from trainer.tracking.endpoint import LOOPBACK

if TYPE_CHECKING:
    import requests

_LOG = logging.getLogger(__name__)
READY_S = 300
POLL_S = 2.0
TIMEOUT_S = 30


def ready(uri: str, token: str, sha256: str, hint: str) -> None:
    """Wait until the model of this digest answers at the address.

    Raises `DeployError` where it does not in time, with `hint`, or answers without the token.
    """
    deadline = time.monotonic() + READY_S
    while trouble := _trouble(uri, token, sha256):
        if time.monotonic() > deadline:
            raise DeployError(f"{uri} is not ready after {READY_S} s: {trouble}.", hint)
        time.sleep(POLL_S)


def _trouble(uri: str, token: str, sha256: str) -> str:
    """What is missing yet; nothing when it is ready."""
    import requests

    try:
        health = _get(uri, "/health")
        if health.status_code != HTTPStatus.OK:
            return f"/health answers {health.status_code}"
        if _get(uri, "/version").ok:
            raise DeployError(f"{uri} answers without the token.", "Do not use it: everybody could.")
        version = _get(uri, "/version", token)
        if not version.ok:
            return f"/version answers {version.status_code}"
        served = version.json().get("version")
    except requests.RequestException as error:
        return f"no answer ({type(error).__name__})"
    except (ValueError, AttributeError):
        return "/version is not that of a model"
    return "" if served == sha256 else "it serves another model"


def _get(uri: str, path: str, token: str = "") -> requests.Response:
    import requests

    with requests.Session() as session:
        logs.answers_to(session, _LOG)
        session.trust_env = urlsplit(uri).hostname not in LOOPBACK
        session.auth = _Bearer(token)
        return session.get(uri + path, timeout=TIMEOUT_S, allow_redirects=False)


class _Bearer:
    """An object of our own, because requests would put what ~/.netrc says in the place of a header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request
