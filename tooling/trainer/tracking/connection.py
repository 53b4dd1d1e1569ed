"""One kept-open connection to a tracking server: credentials, proxies, retries, and what a failure means."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from trainer import logs, progress
from trainer.errors import TrackingError
from trainer.tracking import server_version
from trainer.tracking.endpoint import LOOPBACK, Server
from trainer.tracking.failures import ConnectionDropped, no_mlflow, refusal, unreachable

if TYPE_CHECKING:
    import requests
    from requests.auth import HTTPBasicAuth

_LOG = logging.getLogger(__name__)
API = "/api/2.0/mlflow"
PROBE = f"{API}/experiments/search?max_results=1"
READING_S = (5, 30)
"""To connect, and to wait for the answer to a question that changes nothing."""
WRITING_S = (5, 60)
"""Also for a file: a server may have to fetch it from its store before it sends the first byte."""


class Connection:
    """Calls to one server. Every method raises `TrackingError`."""

    def __init__(self, server: Server, timeout_s: tuple[float, float] | None = None) -> None:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.exceptions import InsecureRequestWarning
        from urllib3.util import Retry

        self.server = server
        self._timeout_s = timeout_s
        self._session = requests.Session()
        logs.answers_to(self._session, _LOG)
        if urlsplit(server.uri).hostname in LOOPBACK:
            self._session.trust_env = False  # a proxy does not know this machine's loopback
        else:
            self._session.proxies.update(server.outbound.proxies(server.uri))
        self._verify = server.outbound.verify
        if self._verify is False:  # as the user wants it
            warnings.simplefilter("ignore", InsecureRequestWarning)
        # 503 is an answer of a server (or its router) that did not take the request.
        retry = Retry(
            total=3,
            connect=2,
            other=0,
            read=False,  # so that a late answer is told from a lost connection
            status=3,
            status_forcelist=(503,),
            allowed_methods=None,
            backoff_factor=0.2,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))
        # As MLflow's client does: a password before a token. An object of our own, because requests would
        # put what ~/.netrc says in the place of a header.
        if server.username and server.password:
            self._session.auth = _basic(server.username, server.password)
        elif server.token:
            self._session.auth = _Bearer(server.token)
        elif server.username:
            self._session.auth = _basic(server.username, "")

    def version(self) -> str:
        """The server's MLflow version; the cheapest call that needs the credentials."""
        answer = self.send("GET", "/version", ok=(404,))
        if answer.status_code == 404:
            self.check()  # which is no success where there is no MLflow at all
            raise server_version.untold(self.server)
        return answer.text.strip()

    def check(self) -> None:
        """Make a call of the API: the server looks at the Host header of these, and not of `version`."""
        self.send("GET", PROBE)

    def exchange(
        self, method: str, path: str, body: object = None, *, query: Mapping[str, str] | None = None,
        content: object = None, timeout_s: tuple[float, float] | None = None, stream: bool = False,
    ) -> requests.Response:  # fmt: skip
        """One request and whatever is answered; raises `TrackingError` when nothing is."""
        import requests

        reads = not stream and (method == "GET" or path.endswith("/search"))
        timeout_s = timeout_s or self._timeout_s or (READING_S if reads else WRITING_S)
        try:
            with progress.asking(self.server.uri):
                return self._session.request(
                    method, self.server.uri + path, params=query, json=body, data=content,  # type: ignore[arg-type]
                    timeout=timeout_s, allow_redirects=False, stream=stream, verify=self._verify,
                )  # fmt: skip
        except requests.RequestException as error:
            _LOG.info("%s %s: no answer (%s)", method, path, type(error).__name__)
            raise unreachable(self.server, error, timeout_s) from None

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content: BinaryIO | None = None,
        ok: tuple[int, ...] = (),
        stream: bool = False,
        again: bool = True,
    ) -> requests.Response:
        """One call, and its answer if that is a success or one of the statuses `ok`.

        It is made `again`, once, where the server closes the connection instead; or, if it must not be sent
        twice, on a fresh connection.
        """
        if not again:
            self._session.close()
        call = partial(self.exchange, method, path, body, query=query, content=content, stream=stream)
        try:
            response = call()
        except ConnectionDropped:
            if not again:
                raise
            if content is not None:
                content.seek(0)
            response = call()
        if response.is_redirect and response.status_code not in ok:
            raise TrackingError(
                f"The tracking server {self.server.uri} redirects to {response.headers['Location']}.",
                "Use that address as the tracking URI, if it is the right one.",
            )
        if response.ok and path.startswith(f"{API}/") and _is_page(response):
            raise no_mlflow(self.server)
        if response.ok or response.status_code in ok:
            return response
        raise refusal(self.server, response)

    def answer(self, response: requests.Response, key: str) -> object:
        """What a successful answer has by this name."""
        try:
            return response.json()[key]
        except (ValueError, LookupError, TypeError):
            raise no_mlflow(self.server) from None


def _is_page(response: requests.Response) -> bool:
    return response.headers.get("Content-Type", "").startswith("text/html")


def _basic(username: str, password: str) -> HTTPBasicAuth:
    """In UTF-8; requests would take Latin-1, which lacks most letters."""
    from requests.auth import HTTPBasicAuth

    return HTTPBasicAuth(*(text.encode(errors="surrogateescape") for text in (username, password)))


class _Bearer:
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request
