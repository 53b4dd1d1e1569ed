"""What the failures of a tracking server mean, in words that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainer.endpoint import Server
from trainer.errors import TrackingDenied, TrackingError

if TYPE_CHECKING:
    import requests


def unreachable(
    server: Server, problem: requests.RequestException, timeout_s: tuple[float, float]
) -> TrackingError:
    """What it means that no answer came. `timeout_s` is what was waited to connect, and to read."""
    import requests

    text = str(problem)
    host = urlsplit(server.uri).hostname
    if isinstance(problem, requests.exceptions.SSLError) and "WRONG_VERSION_NUMBER" in text:
        return TrackingError(
            f"The tracking server {server.uri} does not speak TLS.", "Write its address with http://"
        )
    if isinstance(problem, requests.exceptions.SSLError):
        return TrackingError(
            f"The certificate of the tracking server {server.uri} is not accepted.",
            "Name the file of its certificate authority in REQUESTS_CA_BUNDLE.",
        )
    if isinstance(problem, requests.exceptions.Timeout):
        seconds = timeout_s[isinstance(problem, requests.exceptions.ReadTimeout)]
        return TrackingError(
            f"The tracking server {server.uri} gave no answer in {seconds} s.",
            "See whether it is up and whether a firewall lies between: trainer doctor",
        )
    if "NameResolution" in text or "Name or service not known" in text:
        return TrackingError(
            f"The tracking server's host name {host} is not known.", "Check the name in the tracking URI."
        )
    cause = "refuses connections" if "refused" in text else "cannot be reached"
    return TrackingError(
        f"The tracking server {server.uri} {cause}.", "Start it, or check its address: trainer doctor"
    )


def refusal(server: Server, response: requests.Response) -> TrackingError:
    """What it means that the server answered with a status that is no success."""
    status, text = response.status_code, response.text[:300].strip()
    if status == 403 and "Host header" in text:
        host = urlsplit(server.uri).netloc
        return TrackingError(
            f"The tracking server {server.uri} does not accept requests for {host}.",
            f"Start it with --allowed-hosts {host}",
        )
    if status in (401, 403):
        nobody = "our token" if server.token else "requests without a user name"
        who = f"the user {server.username}" if server.username else nobody
        return TrackingDenied(
            f"The tracking server {server.uri} refuses {who} ({status}).",
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in secrets.env.",
        )
    return TrackingError(
        f"The tracking server {server.uri} answered {status}: {text or response.reason}",
        "See the server's log." if status >= 500 else "Check that this is an MLflow tracking server.",
    )
