"""The way of what is in a spool from this machine to the tracking server, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from trainkit.spool.launcher_records import is_proxied
from trainkit.spool.names import OFFLINE_TAG
from trainkit.spool.responses import ConnectionDropped, NoResponse, Response, ServerUnavailable, response_of

from trainer.errors import TrackingError
from trainer.tracking import artifacts, failures, spool_guard
from trainer.tracking.artifacts import roots as artifact_roots
from trainer.tracking.client import Client, Run
from trainer.tracking.failures import NotThere
from trainer.tracking.spool_guard import GuardedSpool

_TIMEOUT_S = (5, 15)  # of a call; to store a file takes the server longer
_STORING_S = (5, 600)


class HostTransport:
    """A tracking client's session, as delivery uses it for a spool that a stranger may have written in."""

    is_launchers = True

    def __init__(self, client: Client, spool: GuardedSpool) -> None:
        self._client = client
        self._spool = spool
        self._is_seen = False

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
        if not spool_guard.is_path(path) or (file and not self._spool.is_own(file)):
            return spool_guard.refusal()
        try:
            if file is None:
                response = self._client.exchange(method, path, body, query=query, timeout_s=_TIMEOUT_S)
            else:
                with self._spool.opened(file) as content:
                    response = self._client.exchange(method, path, content=content, timeout_s=_STORING_S)
        except failures.ConnectionDropped as error:
            raise ConnectionDropped(error.message) from error
        except TrackingError as error:
            raise NoResponse(error.message) from error
        return Response(response.status_code, response.text, response.headers.get("Server", ""))

    def store(self, uri: str, folder: str, file: Path) -> Response:
        """By MLflow's own client; raises `ServerUnavailable` when that fails."""
        run = None if is_proxied(uri) else self._run()
        root = run.artifact_uri.removesuffix(f"/{run.id}/artifacts") if run else None
        if not self._spool.is_own(file) or not spool_guard.is_below(root, uri, folder):
            return spool_guard.refusal()
        try:
            if root:
                artifact_roots.check_folder(self._client.server, root)
            artifacts.upload_to(self._client.server, uri, file, folder)
            if run and not self._is_seen and uri == run.artifact_uri:
                artifact_roots.see(self._client, run.id, uri, str(PurePosixPath(folder, file.name)))
                self._is_seen = True
        except TrackingError as error:
            if root is None and (response := response_of(error)):
                return response
            raise ServerUnavailable(error.message) from error
        return Response(200, "{}")

    def _run(self) -> Run | None:
        """The run as the server has it, if it has.

        One that was begun offline has another id there. What its spool says of that, its script may have
        written: the server has to say the same.
        """
        local = self._spool.folder.parent.name
        for run_id in dict.fromkeys((local, self._spool.names().get(local, local))):
            try:
                run = self._client.get_run(run_id)
            except NotThere:
                continue
            except TrackingError as error:
                raise ServerUnavailable(error.message) from error
            if run_id == local or run.tags.get(OFFLINE_TAG) == local:
                return run
        return None
