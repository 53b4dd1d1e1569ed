"""What the failures of a tracking server mean, in words that say what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import urlsplit

from trainkit.spool import responses
from trainkit.spool.responses import error_text, is_full

from trainer.errors import TrackingDenied, TrackingError
from trainer.tracking.endpoint import LOOPBACK, Server

if TYPE_CHECKING:
    import requests

Cause = Literal["plain", "certificate", "time", "name", "refused", "unreachable"]
ADDRESS_HINT = "Start it, or correct its address: MLFLOW_TRACKING_URI, or tracking_uri in trainer.yaml"
_HINTS: Mapping[Cause, str] = {
    "plain": "Write its address with http://",
    "certificate": "Specify the file of its certificate authority in MLFLOW_TRACKING_SERVER_CERT_PATH.",
    "time": "See whether it is up, and whether a firewall lies between.",
    "name": "Check the name in the tracking URI.",
    "refused": ADDRESS_HINT,
    "unreachable": ADDRESS_HINT,
}
_TO_TLS = re.compile("HTTP request (was sent )?to (an )?HTTPS")  # nginx's and Go's words


class Response(Protocol):
    """An answer that is no success, as `requests` has it."""

    @property
    def status_code(self) -> int:
        """Of HTTP."""

    @property
    def reason(self) -> str:
        """What HTTP calls the status."""

    @property
    def text(self) -> str:
        """The body."""


class Unreachable(TrackingError):
    """The tracking server gives no answer."""


class ConnectionDropped(Unreachable):
    """The server closed the connection instead, as it does at any moment with one that was idle."""


class NotPermitted(TrackingDenied):
    """The tracking server knows the user, who lacks a permission."""


class TooLarge(TrackingError):
    """The tracking server, or what is in front of it, takes no request of that size."""


class ServerFailure(TrackingError):
    """The tracking server answers that it failed itself (5xx)."""


class Unavailable(ServerFailure):
    """The tracking server, or what it is behind, cannot answer for the time being (502, 503, 504)."""


class NotThere(TrackingError):
    """The tracking server answers, and does not have the run or the artifact."""


def no_artifact(run_id: str, path: str) -> NotThere:
    """What it means that the run has no such artifact."""
    return NotThere(f"There is no artifact {path}.", f"To list those of the run: trainer show {run_id[:8]}")


def unreachable(
    server: Server, error: requests.RequestException, timeout_s: tuple[float, float]
) -> TrackingError:
    """What it means that no answer came. `timeout_s` is what was waited to connect, and to read."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    if _is_dropped(error):
        return ConnectionDropped(
            f"The tracking server {server.uri} closed the connection.", _HINTS["unreachable"]
        )
    return no_answer(server, cause(kinds, str(error)), str(error), timeout_s["ReadTimeout" in kinds])


def _is_dropped(error: BaseException) -> bool:
    from urllib3.exceptions import ProtocolError

    return bool(error.args) and isinstance(error.args[0], ProtocolError)


def cause(kinds: list[str], text: str) -> Cause:
    """Why no answer came: from the names of the classes of the exception of `requests`, and its text."""
    if "SSLError" in kinds:
        return "plain" if "WRONG_VERSION_NUMBER" in text else "certificate"
    if "Timeout" in kinds:
        return "time"
    if "NameResolution" in text or "Name or service not known" in text:
        return "name"
    return "refused" if "refused" in text else "unreachable"


def no_answer(
    server: Server, why: Cause, text: str, seconds: float, hints: Mapping[Cause, str] = _HINTS
) -> TrackingError:
    """The error for a server that did not answer in `seconds`."""
    uri, match = server.uri, re.search(r"certificate verify failed: (.+?)\.? \(_ssl", text)
    messages: Mapping[Cause, str] = {
        "plain": f"The tracking server {uri} does not speak TLS.",
        "certificate": f"The certificate of the tracking server {uri} is not accepted"
        f"{f': {match.group(1)}' if match else ''}.",
        "time": f"The tracking server {uri} gave no answer in {seconds:g} s.",
        "name": f"The tracking server's host name {urlsplit(uri).hostname} is not known.",
        "refused": f"The tracking server {uri} refuses connections.",
        "unreachable": f"The tracking server {uri} cannot be reached.",
    }
    return Unreachable(messages[why], hints[why])


def no_mlflow(server: Server) -> TrackingError:
    """What it means that something else answers than MLflow."""
    return TrackingError(
        f"What answers at {server.uri} is not an MLflow tracking server.",
        "Check the address: a login page or another service may be in its place.",
    )


def refusal(server: Server, response: Response) -> TrackingError:
    """What it means that the server answered with a status that is no success."""
    status, text = response.status_code, _said(response).removeprefix(f"{response.status_code} ")
    if status == 403 and "Host header" in text:
        host = urlsplit(server.uri).netloc
        # The option replaces what MLflow allows by itself.
        allowed_hosts = "" if urlsplit(server.uri).hostname in LOOPBACK else "localhost:*,127.0.0.1:*,"
        return TrackingError(
            f"The tracking server {server.uri} does not accept requests for {host}.",
            f"Start it with --allowed-hosts {allowed_hosts}{host} "
            f"(mlflow_tracking_server: ALLOWED_HOSTS={host}).",
        )
    if status == 400 and _TO_TLS.search(text):
        return TrackingError(
            f"The tracking server {server.uri} speaks TLS.", "Write its address with https://"
        )
    if status in (401, 403):
        if status == 403 and server.username and "Permission denied" in text:
            return NotPermitted(
                f"The tracking server {server.uri} does not permit the user {server.username}.",
                "What others made can only be read. Its owner can permit more: trainer server users grant",
            )
        nobody = "our token" if server.token else "requests without a user name"
        who = f"the user {server.username}" if server.username else nobody
        credential = "password" if server.username and server.password else "token"
        return TrackingDenied(
            f"The tracking server {server.uri} refuses {who} ({status}).",
            f"The {credential} comes from {server.credentials_from}: correct it there."
            if server.credentials_from
            else f"Log in: trainer server connect {server.uri}",
        )
    if status == 404 and (missing := _missing(response.text)):
        return NotThere(
            f"The tracking server {server.uri} does not have it: {missing}",
            "It was deleted there, or this is another server than the run's.",
        )
    if status == 413:
        return TooLarge(
            f"The tracking server {server.uri} answered 413: {text or response.reason}",
            "Raise its limit for a request, or that of the proxy before it (nginx: client_max_body_size).",
        )
    if status >= 500 and is_full(response.text):
        return TrackingError(
            f"The disk of the tracking server {server.uri} is full.",
            "Make space where its database and artifacts are; `trainer server status` says where that is.",
        )
    answered = f"The tracking server {server.uri} answered {status}: {text or response.reason}"
    if status in (502, 503, 504):
        return Unavailable(answered, "It is unavailable at the moment: run the same command again later.")
    if status >= 500:
        return ServerFailure(answered, "See the server's log.")
    return TrackingError(answered, "Check that this is an MLflow tracking server.")


def _said(response: Response) -> str:
    return error_text(responses.Response(response.status_code, response.text))


def _missing(text: str) -> str | None:
    """What MLflow itself says that it does not have; a router's 404 says nothing of it."""
    try:
        payload = json.loads(text)
    except ValueError:
        return None
    is_ours = isinstance(payload, dict) and payload.get("error_code") == "RESOURCE_DOES_NOT_EXIST"
    return str(payload.get("message", "")) if is_ours else None
