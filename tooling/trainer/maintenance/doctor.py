"""Checking everything that a run needs, without changing anything but a server that is started on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from trainkit.spool.launcher_records import is_proxied

from trainer import git, subprocesses
from trainer.backends import registry
from trainer.backends.docker import reachability
from trainer.backends.docker.config import network
from trainer.engine import daemon, run_user
from trainer.errors import TrainerError
from trainer.host import disk
from trainer.images import build, buildkit, lock, spec, trainer_image
from trainer.images.trainer_image import TrainerImage
from trainer.runs.launch import prepare
from trainer.server import container, container_record
from trainer.server import process as server
from trainer.server.volume import Volume
from trainer.tracking import server_version
from trainer.tracking.artifacts import roots as artifact_roots
from trainer.tracking.artifacts import stores as artifact_stores
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

Level = Literal["ok", "warning", "failure"]
_LEAST_FREE_GB = 10  # an image of the deep-learning kind and its build


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `fix` is what to do about it, if anything."""

    name: str
    status: Level
    found: str
    fix: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """The check in JSON's types."""
        return asdict(self)


def checks(workspace: Workspace) -> Iterator[Check]:
    """Look at one thing after the other; none keeps the others from being looked at."""
    client: docker.DockerClient | None = None
    try:
        client = daemon.connect()
        yield _engine(client)
    except TrainerError as error:
        yield Check("engine", "failure", error.message, error.hint)
    yield _buildx(client)
    yield _disk(workspace, client)
    yield _gpu(client)
    yield _attempt("git", lambda: _git(workspace))
    yield _attempt("secrets", lambda: _secrets(workspace))
    plans: list[TrainerImage] = []
    try:
        plans = [trainer_image.plan(workspace, image) for image in spec.discover(workspace).values()]
        yield Check("image definitions", "ok", ", ".join(plan.spec.name for plan in plans) or "none")
    except TrainerError as error:
        yield Check("image definitions", "failure", error.message, error.hint)
    yield from _tracking(workspace, client, plans)


def _attempt(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", check())
    except TrainerError as error:
        return Check(name, "failure", error.message, error.hint)


def _engine(client: docker.DockerClient) -> Check:
    run_user.of(client)  # which it may not have
    kinds = sorted(daemon.kinds(client) & {"rootless", "userns"})
    summary = ", ".join([f"{daemon.product(client)} at {daemon.endpoint()}", *kinds])
    if not daemon.info(client)["MemoryLimit"]:
        return Check(
            "engine",
            "warning",
            f"{summary}; it cannot limit the memory of a run (--memory)",
            "Use cgroup v2; to a rootless engine, delegate the memory controller.",
        )
    return Check("engine", "ok", summary)


def _buildx(client: docker.DockerClient | None) -> Check:
    try:
        version_text = buildkit.buildx_version()
        is_built_in = client is None or daemon.has_buildkit(client)
    except TrainerError as error:
        return Check("buildx", "failure", error.message, error.hint)
    if client and not is_built_in:
        return Check(
            "buildx",
            "warning",
            f"{version_text}, but {daemon.product(client)} has no BuildKit: buildx starts one in a container "
            "of moby/buildkit, which sees no image that the engine has",
            "Build images on a Docker engine, and bring them: docker save IMAGE, then podman load",
        )
    return Check("buildx", "ok", version_text)


def _disk(workspace: Workspace, client: docker.DockerClient | None) -> Check:
    try:
        root = daemon.root(daemon.info(client)) if client else None
        spaces = disk.look(workspace, root)
        disk.check(workspace, root)
    except TrainerError as error:
        return Check("disk", "failure", error.message, error.hint)
    summary = ", ".join(map(str, spaces))
    if any(space.free_gb < _LEAST_FREE_GB for space in spaces):
        return Check("disk", "warning", summary, "Make room: docker system df shows what the engine keeps.")
    return Check("disk", "ok", summary)


def _gpu(client: docker.DockerClient | None) -> Check:
    cards = subprocesses.capture(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    if cards is None:
        return Check("gpu", "ok", "no NVIDIA driver; images that need no GPU run all the same")
    summary = "; ".join(cards.strip().splitlines())
    if client and "nvidia" not in client.info()["Runtimes"]:
        return Check(
            "gpu",
            "warning",
            f"{summary}, but the engine has no NVIDIA runtime",
            "Install the NVIDIA container toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker",
        )
    return Check("gpu", "ok", summary)


def _git(workspace: Workspace) -> str:
    top = git.check(workspace.root)
    return f"the repository {top}" if top else "no repository: no commit is recorded with a run"


def _secrets(workspace: Workspace) -> str:
    loaded = secrets.load(workspace)
    if not workspace.secrets_file.exists():
        return f"no {workspace.secrets_file.name}, and nothing that needs it"
    return f"{len(loaded.values)} in {workspace.secrets_file.name}, readable by you alone and not in git"


def _tracking(
    workspace: Workspace, engine_client: docker.DockerClient | None, plans: list[TrainerImage]
) -> Iterator[Check]:
    try:
        backend = registry.named(registry.automatic(workspace)[0], workspace)
        client, own = prepare.connect(workspace, backend, secrets.load(workspace), None)
        if own:
            server.wait(workspace, client.server)
        server_version = reachability.from_host(client)
    except TrainerError as error:
        yield Check("tracking server", "failure", error.message, error.hint)
        return
    except OSError as error:
        summary = f"it cannot be started: {error.filename}: {error.strerror}"
        fix = f"Make {workspace.root} writable, or use another workspace."
        yield Check("tracking server", "failure", summary, fix)
        return
    yield Check("tracking server", "ok", f"MLflow {server_version} at {client.server.uri}")
    if engine_client and container_record.recorded(workspace) == client.server.uri:
        yield from _space(engine_client, workspace)
    yield from _stores(client)
    if engine_client:
        yield _from_container(
            plans,
            engine_client,
            replace(
                client.server,
                uri=backend.reachable_uri(client.server),
                outbound=backend.outbound(client.server.outbound, client.server),
            ),
        )
    yield _versions(plans, server_version)


def _space(engine_client: docker.DockerClient, workspace: Workspace) -> Iterator[Check]:
    container_state = container.find(engine_client, container.name(workspace))
    if container_state and (space := Volume(engine_client, workspace, container_state.image).space()).is_full:
        fix = "Make space where the engine keeps volumes: docker system df, trainer gc; then trainer sync"
        yield Check("tracking server's disk", "failure", f"{space}: nothing can be stored", fix)


def _stores(client: Client) -> Iterator[Check]:
    """Try to write where experiments have their artifacts, as a run's launcher will."""
    try:
        for uri in artifact_roots.of_server(client):
            yield _store(client, uri)
    except TrainerError as error:
        yield Check("artifacts", "failure", error.message, error.hint)


def _store(client: Client, uri: str) -> Check:
    try:
        if is_proxied(uri):
            artifact_roots.try_by_server(client, uri)
            return Check("artifacts", "ok", f"{uri}: can be written by way of the tracking server")
        artifact_roots.check(client.server, uri, has_trainkit=True)
    except TrainerError as error:
        # A folder may be that of old experiments alone, whose location is for good.
        level: Level = "warning" if artifact_stores.folder(uri) else "failure"
        return Check("artifacts", level, error.message, error.hint)
    return Check("artifacts", "ok", f"{uri}: can be written from here")


def _from_container(plans: list[TrainerImage], engine_client: docker.DockerClient, seen: Server) -> Check:
    """Ask the server from inside a container, whose network is not the host's."""
    name = "tracking server from a container"
    image_ids = (build.image_id(engine_client, plan.tag) for plan in plans)
    image = next((image_id for image_id in image_ids if image_id), None)
    if image is None:
        return Check(name, "warning", "not tried: no trainer image is built", "trainer build-image --all")
    try:
        version_seen = reachability.from_container(
            engine_client, image, seen, network=network(seen.network), environment={}
        )
    except TrainerError as error:
        return Check(name, "failure", error.message, error.hint)
    return Check(name, "ok", seen.uri if version_seen else "not asked: no image has a client")


def _versions(plans: list[TrainerImage], of_server: str) -> Check:
    """What an older server costs; the versions between the oldest one and ours are tested."""
    versions = {"trainer": version("mlflow")}
    for plan in plans:
        pins = [lock.locked_version(image.spec.lock, package) for image in reversed([*plan.line()])
                for package in ("mlflow-skinny", "mlflow")]  # fmt: skip
        versions[f"image {plan.spec.name}"] = next(filter(None, pins), "none")
    other = {name: number for name, number in versions.items() if number != of_server}
    if not other:
        return Check("MLflow versions", "ok", f"{of_server} on the server, in trainer and in every image")
    summary = f"server {of_server}, " + ", ".join(f"{name} {number}" for name, number in other.items())
    if cost := server_version.cost(of_server):
        return Check(
            "MLflow versions",
            "warning",
            f"{summary}. The server has {cost}: models are stored in the artifacts of their runs",
            f"Runs work as it is. To have them, upgrade it: pip install mlflow=={version('mlflow')} on the "
            "server, then mlflow db upgrade with its database.",
        )
    return Check("MLflow versions", "ok", summary)
