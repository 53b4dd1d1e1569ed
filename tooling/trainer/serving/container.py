"""A served model as a container: how it is made, found, asked, stopped.

Container, network and volume are all called `trainer-serve-WORKSPACE-NAME`. Nobody else is on the network,
and nothing but answers leaves it. The one folder of the host that it sees, and writes to, is that of its log.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.engine import daemon
from trainer.errors import EngineError, InvalidInput
from trainer.serving import by_framework, log, volume
from trainer.serving.by_framework import LoggedModel
from trainer.serving.log import Log
from trainer.serving.volume import Model
from trainer.subprocesses import deferred_signals
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

LABEL = "trainer.serve"
"""Of all that is made for a served model: the workspace's identity."""
_NAME, _MODEL, _ATTACHED = f"{LABEL}.name", f"{LABEL}.model", f"{LABEL}.attached"
_FOLLOWS, _SHADOW, _SERVER = f"{LABEL}.follows", f"{LABEL}.shadow", f"{LABEL}.server"
PORT = 8080
STOP_S = 10
_ALL = "0.0.0.0"  # noqa: S104 (what of it is published is another question)


class PortTaken(InvalidInput):
    """Another program listens there."""


@dataclass(frozen=True)
class Wanted:
    """What is to be served, and how. `attached`: as long as the command that started it."""

    name: str
    model: Model
    host: str
    port: int | None
    """None: the first free one."""
    token: str | None
    memory: str
    attached: bool
    follows: str = ""
    """The alias that says which version is served, as NAME@ALIAS; none where that never changes."""
    server: str = ""
    """The tracking server that knows."""
    shadow: Model | None = None
    """The model that is asked beside it."""
    shadow_follows: str = ""
    log: Log | None = None


@dataclass(frozen=True)
class Serving:
    """A container as the engine has it."""

    name: str
    model: str
    """What it began with."""
    follows: str
    """The alias that says which version it is, as NAME@ALIAS; none where that never changes."""
    shadow: str
    """The same of its shadow."""
    server: str
    """The tracking server that knows them."""
    container: str
    id: str
    """The engine's, of the container."""
    image: str
    status: str
    """The engine's word: running, exited, …"""
    host: str
    port: int
    created: str
    attached: bool

    @property
    def running(self) -> bool:
        """Whether it can answer."""
        return self.status == "running"

    @property
    def goes_on(self) -> bool:
        """Whether it answers, or is to answer without anybody's doing."""
        return self.status in ("running", "restarting", "created", "paused")

    @property
    def url(self) -> str:
        """How this machine reaches it."""
        return f"http://{'127.0.0.1' if self.host in (_ALL, '') else self.host}:{self.port}"


def called(workspace: Workspace, name: str) -> str:
    """What the engine calls container, network and volume."""
    return f"trainer-serve-{workspace.identity}-{name}"


def create(client: docker.DockerClient, workspace: Workspace, image: str, wanted: Wanted, port: int) -> str:
    """Make container, network and volume, with the model on it; its name. Nothing is started.

    `image` is the one that models are served in. A model that only its framework can run is in its own.
    """
    from trainkit.inference.serving_file import ServingFile

    container_name = called(workspace, wanted.name)
    logged = wanted.model if isinstance(wanted.model, LoggedModel) else None
    labels = {LABEL: workspace.identity}
    named = {_NAME: wanted.name, _MODEL: wanted.model.called, _ATTACHED: str(wanted.attached).lower(),
             _FOLLOWS: wanted.follows, _SHADOW: wanted.shadow_follows, _SERVER: wanted.server}  # fmt: skip
    user = log.user(client, wanted.log)
    with daemon.failures():
        # Without masquerading, what the container sends of itself finds no way back.
        client.networks.create(
            container_name, driver="bridge", labels=labels,
            options={"com.docker.network.bridge.enable_ip_masquerade": "false"},
        )  # fmt: skip
        client.volumes.create(container_name, labels=labels)
        container = client.containers.create(
            logged.image if logged else image,
            [
                volume.SERVING_FILE, "--host", _ALL, "--port", str(PORT), "--name", wanted.name,
                *([] if wanted.token else ["--published-on-loopback"]), *log.options(wanted.log),
            ],
            entrypoint=list(by_framework.ENTRYPOINT) if logged else None,
            working_dir="/tmp" if logged else None,  # noqa: S108 (the container's own)
            tmpfs={"/tmp": ""} if logged else None,  # noqa: S108
            name=container_name,
            labels={**labels, **named, "trainer.workspace_folder": str(workspace.root)},
            environment={
                **({"MODEL_SERVER_TOKEN_FILE": volume.TOKEN_FILE} if wanted.token else {}),
                **(by_framework.ENVIRONMENT if logged else {}),
            },
            network=container_name,
            ports={f"{PORT}/tcp": (wanted.host, port)},
            volumes={
                container_name: {"bind": volume.FOLDER, "mode": "rw"},
                **log.mount(wanted.log),
            },
            restart_policy=None if wanted.attached else {"Name": "unless-stopped"},  # type: ignore[arg-type]
            user=f"{user.uid}:{user.gid}",
            userns_mode="host" if user.stranger else None,
            read_only=True,
            mem_limit=wanted.memory,
            memswap_limit=wanted.memory,
            pids_limit=512,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
        )  # fmt: skip
        if logged:
            container.put_archive(volume.FOLDER, by_framework.kit(client, image))
        models = {each.digest: each for each in (wanted.model, wanted.shadow) if each}
        serving = ServingFile(model=wanted.model.entry, shadow=wanted.shadow.entry if wanted.shadow else None)
        volume.put(container, list(models.values()), serving, wanted.token, user)
    return container_name


def start(client: docker.DockerClient, container_name: str, port: int) -> None:
    """Start it. Raises `PortTaken`, or `EngineError` for another reason."""
    from docker.errors import APIError

    with daemon.failures():
        try:
            client.containers.get(container_name).start()
        except APIError as error:
            reason = str(error.explanation)
            if "port is already allocated" in reason or "address already in use" in reason:
                raise PortTaken(f"The port {port} is taken.", "Choose another one: --port") from None
            raise EngineError(
                f"The container {container_name} cannot be started: {reason}",
                "See `docker info` and the engine's log.",
            ) from None


def found(client: docker.DockerClient, workspace: Workspace) -> list[Serving]:
    """Those of the workspace, by name."""
    with daemon.failures():
        containers = client.containers.list(
            all=True, filters={"label": f"{LABEL}={workspace.identity}"}, ignore_removed=True
        )
    return sorted((_serving(container) for container in containers), key=lambda serving: serving.name)


def _serving(container: Container) -> Serving:
    bindings = container.attrs["HostConfig"]["PortBindings"] or {}
    [binding] = bindings.get(f"{PORT}/tcp") or [{"HostIp": "", "HostPort": "0"}]
    labels = container.labels
    return Serving(
        name=labels.get(_NAME, ""), model=labels.get(_MODEL, ""), follows=labels.get(_FOLLOWS, ""),
        shadow=labels.get(_SHADOW, ""), server=labels.get(_SERVER, ""), container=str(container.name),
        id=str(container.id), image=str(container.attrs["Config"]["Image"]), status=container.status,
        host=binding["HostIp"], port=int(binding["HostPort"]), created=str(container.attrs["Created"]),
        attached=labels.get(_ATTACHED) == "true",
    )  # fmt: skip


def status(client: docker.DockerClient, container_name: str) -> str:
    """The engine's word for its state; `gone` where there is none."""
    from docker.errors import NotFound

    with daemon.failures():
        try:
            return client.containers.get(container_name).status
        except NotFound:
            return "gone"


def wait(client: docker.DockerClient, serving: Serving, at_most_s: float) -> None:
    """Return when it has ended, at the latest after so many seconds, or where the engine does not answer."""
    import requests
    from docker.errors import DockerException

    begun = time.monotonic()
    try:
        client.api.wait(serving.id, timeout=at_most_s, condition="not-running")  # type: ignore[arg-type]
    except requests.exceptions.Timeout:
        return
    except (DockerException, requests.RequestException):  # docker-py says so of a timeout, too
        time.sleep(max(0, at_most_s - (time.monotonic() - begun)))


def was_out_of_memory(client: docker.DockerClient, container_name: str) -> bool:
    """Whether the kernel killed it, since it took more than its limit."""
    from docker.errors import NotFound

    with daemon.failures(), contextlib.suppress(NotFound):
        return bool(client.containers.get(container_name).attrs["State"]["OOMKilled"])
    return False


def output(
    client: docker.DockerClient, container_name: str, lines: int, follow: bool = False
) -> Iterator[bytes]:
    """The last `lines` of what it said, both streams, and with `follow` what it says from now on."""
    with daemon.failures():
        log = client.containers.get(container_name).logs(tail=lines, follow=follow, stream=True)
        yield from log


def remove(client: docker.DockerClient, container_name: str) -> bool:
    """Stop it, so that what was asked is answered, and remove all that was made for it.

    False where a part of it is in use.
    """
    from docker.errors import APIError, NotFound

    with daemon.failures(), deferred_signals():
        with contextlib.suppress(NotFound):
            container = client.containers.get(container_name)
            container.stop(timeout=STOP_S)
            container.remove(force=True)
        try:
            for network in client.networks.list(names=[container_name]):
                if network.name == container_name:
                    network.remove()
            with contextlib.suppress(NotFound):
                client.volumes.get(container_name).remove(force=True)
        except APIError:
            return False
    return True
