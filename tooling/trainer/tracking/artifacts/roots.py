"""Where the artifacts of an experiment go, and whether they can be brought there: decided before the run.

A tracking server passes artifacts on itself, or it names a store to its clients: S3 and the like, or a
folder. What a run logs is then brought there by its launcher, which has the credentials. A folder is the
server's: only a server on this machine may mean one of this machine, and it is asked whether it sees what was
put there.
"""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

from trainkit.spool.launcher_records import is_proxied

from trainer import concurrency
from trainer.errors import TrackingError
from trainer.tracking import artifacts
from trainer.tracking.artifacts import stores as artifact_stores
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server
from trainer.tracking.failures import ServerFailure, Unavailable

_API = "/api/2.0/mlflow"
_TRY_S = 20
_HINT = (
    "Have the server store artifacts itself (--artifacts-destination in place of --default-artifact-root), "
    "and name an experiment that is made after that: --experiment NAME"
)


class _Experiment(TypedDict):
    artifact_location: str


class _File(TypedDict):
    path: str


def find(client: Client, name: str, *, has_trainkit: bool) -> str | None:
    """The id of the experiment, None if it is not there. As `check`, of where its artifacts go."""
    experiment = client.find_experiment(name)
    if experiment:
        check(client.server, location(client, experiment), has_trainkit=has_trainkit)
    return experiment


def make(client: Client, name: str, *, has_trainkit: bool, tags: Mapping[str, str] | None = None) -> str:
    """Make an experiment; its id. As `check`, of where its artifacts go."""
    experiment_id = client.make_experiment(name, tags)
    uri = location(client, experiment_id)
    try:
        check(client.server, uri, has_trainkit=has_trainkit)
    except TrackingError:
        if artifact_stores.folder(uri):
            # Its location is for good, and a deleted experiment keeps its name.
            body = {"experiment_id": experiment_id, "new_name": f"{name} (not used: {uuid.uuid4().hex[:8]})"}
            with contextlib.suppress(TrackingError):
                client.send("POST", f"{_API}/experiments/update", body)
                client.send("POST", f"{_API}/experiments/delete", {"experiment_id": experiment_id})
        raise
    return experiment_id


def location(client: Client, experiment_id: str) -> str:
    """Below which address the experiment's artifacts go."""
    query = {"experiment_id": experiment_id}
    payload = client.send("GET", f"{_API}/experiments/get", query=query).json()
    return cast(_Experiment, payload["experiment"])["artifact_location"]


def of_server(client: Client) -> list[str]:
    """The addresses at which the server's experiments have their artifacts, one for each root."""
    query = {"max_results": "1000"}
    payload = client.send("GET", f"{_API}/experiments/search", query=query).json()
    locations = [
        experiment["artifact_location"]
        for experiment in cast(list[_Experiment], payload.get("experiments", []))
    ]
    return list({uri.rpartition("/")[0]: uri for uri in locations}.values())


def check(server: Server, uri: str, *, has_trainkit: bool) -> None:
    """Raise `TrackingError` unless a run's artifacts can be brought to that address.

    An image without trainkit stores them itself, with the credentials that its project declares; a folder
    would be one of its container.
    """
    if is_proxied(uri):
        return
    check_folder(server, uri)
    if not has_trainkit:
        if artifact_stores.folder(uri):
            raise TrackingError(
                f"Artifacts go to the folder {uri}, which a run in an image without trainkit does not reach.",
                f"Run it in a trainer image (--image NAME). Or: {_HINT}",
            )
        return
    if artifact_stores.folder(uri):
        return
    try:
        concurrency.call_with_timeout(_TRY_S, lambda: artifacts.try_to_write(server, uri))
    except TimeoutError:
        raise TrackingError(
            f"The artifact store {uri} gave no answer in {_TRY_S} s.",
            "See whether a firewall lies between, and whether MLFLOW_S3_ENDPOINT_URL is right.",
        ) from None


def try_by_server(client: Client, uri: str) -> None:
    """Have the server store a small file at an address of its own, and delete it. Raises `TrackingError`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / artifacts.TRIAL
        file.write_text(artifacts.TRIAL_TEXT)
        try:
            client.store(uri, file, artifacts.TRIAL)
        except ServerFailure as error:
            raise not_stored("A file of a few bytes", error) from None
    with contextlib.suppress(TrackingError):  # to delete may not be allowed, and is not needed for a run
        client.remove(uri, artifacts.TRIAL)


def not_stored(subject: str, error: TrackingError) -> TrackingError:
    """What it means that the server failed when it had to store an artifact."""
    cause = (
        "Let the server write where it keeps artifacts (--artifacts-destination); its log says what failed."
    )
    hint = error.hint if isinstance(error, Unavailable) else cause
    return TrackingError(f"{subject} could not be stored. {error.message}", hint)


def check_folder(server: Server, uri: str) -> None:
    """Raise `TrackingError` for a folder that is not the server's and this machine's alike."""
    folder = artifact_stores.folder(uri)
    if folder and not (
        artifact_stores.serves_from_here(server.uri) and artifact_stores.can_be_written(folder)
    ):
        raise TrackingError(
            f"Artifacts go to {uri}, a folder of the tracking server that cannot be written from here: "
            "they would be lost.",
            _HINT,
        )


def see(client: Client, run_id: str, uri: str, path: str) -> None:
    """Raise `TrackingError` unless the server sees the artifact that was put into a folder, if it is one."""
    if artifact_stores.folder(uri) is None:
        return
    query = {"run_id": run_id, "path": path.rpartition("/")[0]}
    parameters = {name: value for name, value in query.items() if value}
    payload = client.send("GET", f"{_API}/artifacts/list", query=parameters).json()
    if path not in {file["path"] for file in cast(list[_File], payload.get("files", []))}:
        raise TrackingError(
            f"The tracking server does not see what was put into {uri}: that is a folder elsewhere.",
            _HINT,
        )
