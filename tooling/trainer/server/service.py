"""The workspace's own tracking server as a container: made, started, stopped, upgraded, its secrets changed.

secrets.env is the truth: the server's account gets the password that is written there whenever it starts, so
that whatever was interrupted, the next `trainer server up` agrees with it again.
"""

from __future__ import annotations

import contextlib
import os
import secrets as random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainer.engine import daemon
from trainer.errors import InvalidInput, TrackingDenied, TrackingError, TrainerError
from trainer.images import build
from trainer.images.folder_image import FolderImage
from trainer.progress import Steps
from trainer.server import container, container_record, live_runs, ports, process, start, store, store_archive
from trainer.server import image as server_image
from trainer.server.connect import refuse_another
from trainer.server.container import ContainerState, name
from trainer.server.start import OLD, URI
from trainer.server.volume import Volume
from trainer.subprocesses import deferred_signals
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server
from trainer.workspace import secrets
from trainer.workspace.secrets import Secrets
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
SECRET_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"  # noqa: S105 (a name)


def up(
    workspace: Workspace,
    reporter: Steps,
    *,
    force: bool = False,
    port: int | None = None,
    empty: bool = False,
) -> Server:
    """See to it that the container runs and lets us in; it is made if it is not there.

    What a server that ran as a process kept in mlruns/ is taken over; it stays there too. secrets.env gets
    the address, a name, a password and a key, as far as they are missing. Raises `InvalidInput` where
    secrets.env names another server, unless `force` says to replace it, and `TrainerError` for what else goes
    wrong: that what the volume held is gone, for example, unless `empty` says that a new store may be made.

    Published on `port`, if that is given, else where it was; where that is taken, on the next free one.
    """
    client = _engine()
    secrets.check(workspace)
    with container.changing(workspace):
        _settle(client, workspace)
        state = container.find(client, name(workspace))
        if empty:
            store.forget(client, workspace, state)
        store.check(client, workspace, state)
        if state is None:
            state = _make(client, workspace, reporter, force=force, port=port)
        elif state.status == "running" and port not in (None, state.port) and not force:
            live_runs.refuse(workspace, f"trainer server up --port {port} --force")
        start.follow(workspace, state)
        reporter.step("Waiting for the tracking server")
        return _let_in(client, workspace, state, port)


def down(workspace: Workspace) -> bool:
    """Stop the container; False if it did not run. Its store stays."""
    with container.changing(workspace):
        return container.stop(_engine(), name(workspace))


def found(workspace: Workspace) -> ContainerState | None:
    """The container as it is now."""
    return container.find(_engine(), name(workspace))


def none_here() -> InvalidInput:
    """There is no container to do something with."""
    return InvalidInput(
        "This workspace has no tracking server in a container.", "Make one: trainer server up"
    )


def account(workspace: Workspace) -> Server | None:
    """The container with the account that secrets.env has for it, if both are there."""
    uri, loaded = container_record.recorded(workspace), secrets.load(workspace).values
    if uri is None or not (loaded.get(USERNAME) and loaded.get(PASSWORD)):
        return None
    return Server(uri, loaded[USERNAME], loaded[PASSWORD])


def rotate_secrets(workspace: Workspace, reporter: Steps) -> Server:
    """Replace the password and key of the server, and restart it with them.

    They are in secrets.env first: after an interruption `up` completes it.
    """
    client = _engine()
    with container.changing(workspace):
        _settle(client, workspace)
        state = container.find(client, name(workspace))
        if state is None:
            raise none_here()
        loaded = secrets.load(workspace)
        new = _account()
        secrets.store(workspace, {PASSWORD: new[PASSWORD], SECRET_KEY: new[SECRET_KEY]})
        reporter.step("Restarting the tracking server")
        container.stop(client, name(workspace))
        tracking = _let_in(client, workspace, state)
        if not _is_refused(Server(tracking.uri, loaded.get(USERNAME), loaded.get(PASSWORD))):
            raise TrackingError("The old password still works.", "See the server's log: trainer server logs")
        return tracking


def upgrade(workspace: Workspace, reporter: Steps, backup: Path) -> tuple[str, str]:
    """Replace the container by one of the present image, which migrates the store; its tag before and after.

    The same tag twice: there was nothing to do. The store is saved in the file `backup` first. If the new
    one does not start, does not let us in, or has fewer rows, store and container are put back as they were
    and `TrackingError` says why.
    """
    client = _engine()
    with container.changing(workspace):
        _settle(client, workspace)
        before = container.find(client, name(workspace))
        if before is None:
            raise none_here()
        image = server_image.plan(workspace)
        if image.tag == before.image:
            return before.image, before.image
        _build(client, workspace, image, reporter)
        reporter.step("Saving the store")
        container.stop(client, name(workspace))
        volume = Volume(client, workspace, before.image)
        with os.fdopen(os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            volume.backup(file)
        counts = volume.counts()
        reporter.step("Upgrading the tracking server")
        container.rename(client, name(workspace), name(workspace) + OLD)
        try:
            container.create(client, workspace, image.tag, before.port)
            _let_in(client, workspace, before)
            _no_fewer(counts, Volume(client, workspace, image.tag).counts())
        except BaseException as error:
            with deferred_signals(drop=True):
                reporter.step("Going back")
                _roll_back(client, workspace, before, backup)
            if isinstance(error, TrainerError):
                raise TrackingError(
                    f"The upgrade failed: {error.message}",
                    f"The server runs as before. What it held is also in {backup}",
                ) from None
            raise
        container.remove(client, name(workspace) + OLD)
        return before.image, image.tag


def _roll_back(
    client: docker.DockerClient, workspace: Workspace, before: ContainerState, backup: Path
) -> None:
    container.remove(client, name(workspace))
    with backup.open("rb") as file:
        Volume(client, workspace, before.image).restore(file)
    _settle(client, workspace)
    _let_in(client, workspace, before)


def _no_fewer(before: dict[str, int], after: dict[str, int]) -> None:
    for table, rows in before.items():
        if after.get(table, 0) < rows:
            raise TrackingError(
                f"{rows} {table} before, {after.get(table, 0)} after the migration.", "See the server's log."
            )


def _settle(client: docker.DockerClient, workspace: Workspace) -> None:
    """Complete or take back what was interrupted: an upgrade, a restore."""
    start.settle(client, workspace)
    if state := container.find(client, name(workspace)):
        Volume(client, workspace, state.image).settle()


def _engine() -> docker.DockerClient:
    client = daemon.connect()
    if daemon.is_remote(address := daemon.endpoint()):
        raise InvalidInput(
            f"The engine at {address} is another machine: this one could not reach a server there.",
            "Use a local engine, `--process`, or deploy a server: trainer server deploy --help",
        )
    return client


def _make(
    client: docker.DockerClient, workspace: Workspace, reporter: Steps, *, force: bool, port: int | None
) -> ContainerState:
    own = container_record.recorded(workspace)
    named = secrets.load(workspace).values.get(URI, "").rstrip("/")
    refuse_another(workspace, named, own, force=force)
    volume = Volume(client, workspace, (image := server_image.plan(workspace)).tag)
    if not volume.exists():  # else the image says what is on it
        _takes_over(workspace, volume)
    _build(client, workspace, image, reporter)
    port = ports.free_port(workspace, port or (urlsplit(own).port if own else None))
    reporter.step("Making the tracking server")
    with container.made(client, workspace, image.tag, port):
        if _takes_over(workspace, volume):  # a run may have begun meanwhile
            _take_over(workspace, volume, reporter)
        _complete_secrets(workspace, start.address(port), rotate=bool(named) and named != own)
    return ContainerState("created", image.tag, port)


def _complete_secrets(workspace: Workspace, uri: str, *, rotate: bool = False) -> Secrets:
    """secrets.env with all that the server and its clients need; `rotate`: with a new account."""
    generated = {URI: uri, **_account()}
    loaded = secrets.load(workspace).values
    kept = (SECRET_KEY,) if rotate else (USERNAME, PASSWORD, SECRET_KEY)
    secrets.store(workspace, {**generated, **{key: loaded[key] for key in kept if loaded.get(key)}})
    return secrets.load(workspace)


def _account() -> dict[str, str]:
    return {
        USERNAME: f"trainer-{random.token_hex(3)}",
        PASSWORD: random.token_urlsafe(24),
        SECRET_KEY: random.token_hex(32),
    }


def _build(client: docker.DockerClient, workspace: Workspace, image: FolderImage, reporter: Steps) -> None:
    reporter.step(f"Preparing the image {image.tag}")
    build.ensure(workspace, client, image, reporter)


def _takes_over(workspace: Workspace, volume: Volume) -> bool:
    """Whether what the server kept as a process is copied, which a volume with runs of its own is spared.

    Raises `InvalidInput` while runs report to that process.
    """
    kept = store_archive.counts(workspace.store).get("runs")
    if not kept or (volume.exists() and volume.counts().get("runs")):
        return False
    live_runs.refuse(workspace)
    return True


def _take_over(workspace: Workspace, volume: Volume, reporter: Steps) -> None:
    process.down(workspace)
    reporter.step(f"Taking over the runs in {workspace.store}")
    with tempfile.TemporaryFile(dir=workspace.state) as copy:
        store_archive.backup(workspace.store, copy)
        copy.seek(0)
        volume.restore(copy)


def _let_in(
    client: docker.DockerClient, workspace: Workspace, state: ContainerState, port: int | None = None
) -> Server:
    """Start it if it does not run, or not on that port, and log in, with the account of secrets.env."""
    loaded = _complete_secrets(workspace, start.address(state.port)).values
    running = container.find(client, name(workspace))
    if running and running.status == "running":
        if port in (None, running.port):
            container.wait(client, name(workspace))
            container_record.record_store(workspace, exists=True)
            tracking = Server(start.address(running.port), loaded[USERNAME], loaded[PASSWORD])
            with contextlib.suppress(TrackingDenied):
                Client(tracking).version()
                return tracking
        container.stop(client, name(workspace))
    container.give_secrets(
        client,
        name(workspace),
        {
            "MLFLOW_AUTH_ADMIN_USERNAME": loaded[USERNAME],
            "MLFLOW_AUTH_ADMIN_PASSWORD": loaded[PASSWORD],
            SECRET_KEY: loaded[SECRET_KEY],
            "RESET_ADMIN_PASSWORD": "1",
        },
    )
    uri = start.follow(workspace, start.start(client, workspace, port))
    tracking = Server(uri, loaded[USERNAME], loaded[PASSWORD])
    Client(tracking).version()
    return tracking


def _is_refused(account: Server) -> bool:
    try:
        Client(account).version()
    except TrackingDenied:
        return True
    return False
