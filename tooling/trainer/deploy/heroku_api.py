"""Heroku's Platform API, as much of it as a deployment needs.

https://devcenter.heroku.com/articles/platform-api-reference describes it. The token goes to that API alone,
in a header; addresses of uploads and logs, which the API hands out, get none.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast
from urllib.parse import urlsplit

from trainer import logs
from trainer.deploy.plan import Request
from trainer.errors import DeployError, InvalidInput
from trainer.tracking.endpoint import LOOPBACK

if TYPE_CHECKING:
    import requests

_LOG = logging.getLogger(__name__)
TIMEOUT_S = (10, 60)
RETRIES = 5
_PIECE = 65536
DOMAINS = ("heroku.com", "herokai.com", "herokuspace.com", "herokudev.com")  # those the heroku command knows


class Named(TypedDict):
    """Something with a name: a region, a stack, a team, an add-on's service."""

    name: str


class AppInfo(TypedDict):
    """An app."""

    name: str
    web_url: str | None
    build_stack: Named
    region: Named
    team: Named | None


class Addon(TypedDict):
    """An add-on of an app. Its state is provisioning, provisioned or deprovisioned."""

    addon_service: Named
    state: str


class ProcessType(TypedDict):
    """A process type of an app (`web`), and how many dynos are to run it."""

    type: str
    quantity: int


class _Blob(TypedDict):
    version: str | None


class _Id(TypedDict):
    id: str


class Build(TypedDict):
    """A build. Its status is pending, succeeded or failed; a release follows one that succeeded."""

    id: str
    created_at: str
    status: str
    source_blob: _Blob
    release: _Id | None
    output_stream_url: str


class Release(TypedDict):
    """A release: a build with config vars. Its status is pending while its release phase runs."""

    id: str
    version: int
    status: str
    output_stream_url: NotRequired[str | None]


class _DynoRelease(TypedDict):
    version: int


class Dyno(TypedDict):
    """A running process. Its state is crashed, down, idle, starting or up."""

    type: str
    state: str
    release: _DynoRelease


class UploadUrls(TypedDict):
    """Where to store source code, and where a build then finds it."""

    put_url: str
    get_url: str


class Source(TypedDict):
    """A place for source code."""

    source_blob: UploadUrls


def address() -> str:
    """Where the API is: HEROKU_HOST, as the heroku command understands it, else Heroku's own.

    Raises `InvalidInput` for a host that is neither Heroku's nor this machine: the token would go there.
    """
    chosen = os.environ.get("HEROKU_HOST") or "heroku.com"
    uri = chosen if chosen.startswith("http") else f"https://api.{chosen}"
    parts = urlsplit(uri)
    host = parts.hostname or ""
    herokus = host in DOMAINS or host.endswith(tuple(f".{domain}" for domain in DOMAINS))
    if (herokus and parts.scheme == "https") or host in LOOPBACK:
        return uri.rstrip("/")
    raise InvalidInput(
        f"HEROKU_HOST is {chosen}, which is not an address of Heroku.",
        "Unset it; the login would be sent there.",
    )


class Forbidden(DeployError):
    """The name is taken by another account."""


class Api:
    """Calls to the API with one login. Every method raises `DeployError`."""

    def __init__(self, uri: str, token: str) -> None:
        self._session = _session(uri)
        self._session.auth = _Login(token)
        self._session.headers["Accept"] = "application/vnd.heroku+json; version=3"
        self._plain = _session(uri)

    def find(self, request: Request) -> object | None:
        """What is there, or None where there is nothing."""
        response = self._send(request, ok=(404,))
        return None if response.status_code == 404 else response.json()

    def send(self, request: Request) -> object:
        """The answer."""
        return self._send(request).json()

    def listed(self, request: Request) -> list[object]:
        """A list that may come in several parts."""
        response = self._send(request)
        items = list(response.json())
        while response.status_code == 206 and (following := response.headers.get("Next-Range")):
            response = self._send(request, headers={"Range": following})
            items += response.json()
        return items

    def upload(self, request: Request, content: bytes) -> None:
        """Store bytes at an address that the API gave, which is a secret itself."""
        import requests

        try:
            # A signed address takes no Content-Type; requests sends none for bytes.
            response = self._plain.put(request.url, data=content, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise _unreachable("The place for uploads that Heroku named", error) from None
        if not response.ok:
            raise DeployError(
                f"The upload of the server's files was refused ({response.status_code}).", "Try again."
            )

    def stream(self, request: Request, start: int) -> Iterator[bytes]:
        """A log from its byte `start` on, as it grows. It may break off at any time: then ask again."""
        import requests
        from urllib3.exceptions import HTTPError

        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        try:
            with self._plain.get(request.url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
                if not response.ok:
                    return
                skip = start if response.status_code == 200 else 0
                # Not iter_content: it waits for whole pieces, and forgets what came of one that broke off.
                while piece := response.raw.read1(_PIECE):
                    yield piece[skip:]
                    skip = max(0, skip - len(piece))
        except (requests.RequestException, HTTPError):
            return

    def _send(
        self, request: Request, *, ok: tuple[int, ...] = (), headers: dict[str, str] | None = None
    ) -> requests.Response:
        import requests

        try:
            response = self._session.request(
                request.method, request.url, json=request.body or None, headers=headers,
                timeout=TIMEOUT_S, allow_redirects=False,
            )  # fmt: skip
        except requests.RequestException as error:
            raise _unreachable("Heroku's API", error) from None
        if response.status_code in ok or (response.ok and _is_json(response)):
            return response
        raise refusal(request, response)


def refusal(request: Request, response: requests.Response) -> DeployError:
    """What it means that the API did not do what was asked."""
    payload = response.json() if _is_json(response) else {}
    body = cast(dict[str, object], payload) if isinstance(payload, dict) else {}
    if response.status_code == 401:
        key = " HEROKU_API_KEY is set: it comes before the login." if os.environ.get("HEROKU_API_KEY") else ""
        return DeployError("Heroku does not accept the login of the heroku command.", f"heroku login{key}")
    if response.status_code == 429:
        return DeployError("Heroku's rate limit for this login is exceeded.", "Try again in a few minutes.")
    if response.status_code >= 500 or not body:
        return DeployError(
            f"Heroku's API answered {response.status_code}.", "See https://status.heroku.com, and try again."
        )
    action = f"{request.method} {urlsplit(request.url).path}"
    more = body.get("url")
    kind = Forbidden if response.status_code == 403 and body.get("id") == "forbidden" else DeployError
    return kind(
        f"Heroku refuses {action}: {body.get('message') or response.reason}",
        f"See {more}" if more else "Fix the cause, then run the same command again: it continues from here.",
    )


def _unreachable(action: str, error: requests.RequestException) -> DeployError:
    return DeployError(
        f"{action} cannot be reached: {type(error).__name__}.", "Check that this machine is online."
    )


def _is_json(response: requests.Response) -> bool:
    try:
        response.json()
    except ValueError:
        return False
    return True


def _session(uri: str) -> requests.Session:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    logs.answers_to(session, _LOG)
    session.auth = _Login(None)
    if urlsplit(uri).hostname in LOOPBACK:
        session.trust_env = False  # a proxy does not know this machine's loopback
    # A POST is not repeated: it would build twice.
    retry = Retry(
        total=RETRIES,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=("GET", "PUT", "PATCH"),
        backoff_factor=0.3,
        raise_on_status=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


class _Login:
    """An object of our own, because requests would put what ~/.netrc says in the place of a header."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request
