"""The thread of a run that brings its spool to the server while it trains."""

from __future__ import annotations

import atexit
import mimetypes
import os
import threading
import time
from collections.abc import Callable, Mapping
from http.client import RemoteDisconnected
from pathlib import Path

from trainkit import run_environment
from trainkit.spool.delivery import Delivery
from trainkit.spool.journal import Spool
from trainkit.spool.responses import (
    ConnectionDropped,
    NoResponse,
    Response,
    ServerUnavailable,
    store_directly,
)

_PAUSE_S = 0.2  # between two deliveries: what was logged meanwhile goes in one request
_LONGEST_PAUSE_S = 30.0
_POLL_S = 0.02
_CONNECT_S, _ANSWER_S, _STORED_S = 5, 15, 600


class MlflowTransport:
    """Requests as MLflow's own client makes them: its credentials, headers and certificates."""

    is_launchers = False

    def __init__(self, address: str) -> None:
        self.address = address

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        file: Path | None = None,
    ) -> Response:
        """One request; raises `ServerUnavailable` when no answer comes in time."""
        from mlflow.exceptions import MlflowException
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request
        from requests import RequestException
        from urllib3.exceptions import ProtocolError

        try:
            creds = get_default_host_creds(self.address)  # each time: they may have changed
            options = {"max_retries": 0, "raise_on_status": False}
            if file is None:
                timeout = (_CONNECT_S, _ANSWER_S)
                response = http_request(
                    creds, path, method, json=body, params=query, timeout=timeout, **options
                )
            else:
                kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
                with file.open("rb") as content:
                    response = http_request(
                        creds, path, method, data=content, timeout=(_CONNECT_S, _STORED_S),
                        extra_headers={"Content-Type": kind}, **options,
                    )  # fmt: skip
            return Response(response.status_code, response.text, response.headers.get("Server", ""))
        except (MlflowException, RequestException) as error:
            cause = _cause(error)
            closed = (ProtocolError, ConnectionResetError, BrokenPipeError, RemoteDisconnected)
            failure = ConnectionDropped if isinstance(cause, closed) else NoResponse
            raise failure(f"the server gives no answer ({type(cause).__name__})") from None

    def store(self, uri: str, folder: str, file: Path) -> Response:
        """By MLflow's own client; raises `ServerUnavailable` when that fails."""
        return store_directly(self.address, uri, folder, file)


class Sender:
    """Delivers a spool in the background. It never raises, and never keeps the process from ending."""

    def __init__(self, spool: Spool, transport: MlflowTransport) -> None:
        self._spool = spool
        self._transport = transport
        self._work = threading.Event()
        self._urgent = threading.Event()
        self._process = 0
        self._told = False  # once an outage
        self.away = bool(os.environ.get(run_environment.OFFLINE))
        atexit.register(spool.flush)

    def wake(self) -> None:
        """There is something to deliver."""
        if self._process != os.getpid():  # a fork has none of its parent's threads
            self._process, self._work, self._urgent = os.getpid(), threading.Event(), threading.Event()
            threading.Thread(target=self._run, name="spool", daemon=True).start()
        self._work.set()

    def drain(self, patience_s: float) -> bool:
        """Whether the server has all that was logged before; waits for it while the server is there."""
        try:
            target = self._spool.journal.stat().st_size
        except FileNotFoundError:
            return not self.away
        give_up = time.monotonic() + patience_s
        while self._spool.delivered() < target:
            if self.away or time.monotonic() > give_up:
                return False
            self._urgent.set()
            self.wake()
            time.sleep(_POLL_S)
        return True

    def _run(self) -> None:
        lock: int | None = None
        pause = _PAUSE_S
        while True:
            self._work.wait(1)
            self._work.clear()
            self._attempt(self._spool.flush)
            if os.environ.get(run_environment.OFFLINE):
                continue
            lock = self._spool.sending() if lock is None else lock
            if lock is None:  # another process of this run delivers for us
                continue
            delivery = Delivery(self._spool, self._transport)
            while self._attempt(delivery.deliver):
                self.away = True
                pause = min(max(1.0, pause * 2), _LONGEST_PAUSE_S)
                time.sleep(pause)
                self._attempt(self._spool.flush)
            self.away, self._told, pause = False, False, _PAUSE_S
            self._urgent.wait(pause)
            self._urgent.clear()

    def _attempt(self, action: Callable[[], None]) -> str | None:
        """What went wrong, if anything: a server, a disk, and nothing that training is to end by."""
        try:
            action()
        except Exception as error:  # noqa: BLE001
            if not isinstance(error, ServerUnavailable) or not self._told:
                self._told = True
                message = f"Tracking: {error or type(error).__name__}; what is logged waits on disk.\n"
                os.write(
                    2, message.encode()
                )  # past Python's own buffer, whose lock an ending process may hold
            return str(error) or type(error).__name__
        return None


def _cause(error: BaseException) -> BaseException:
    """The innermost cause: `ConnectionRefusedError` says more than what wraps it."""
    inner: BaseException = error
    while (cause := inner.__cause__ or inner.__context__) is not None:
        inner = cause
    return inner
