"""A served model as a container: how it is made, found, asked, stopped.

Container, network and volume are all called `trainer-serve-WORKSPACE-NAME`. Nobody else is on the network,
and nothing but answers leaves it. The volume has the model, and the token where there is one.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from trainer.engine import daemon
from trainer.errors import EngineError, InvalidInput
from trainer.subprocesses import deferred_signals
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

LABEL = "trainer.serve"
"""Of all that is made for a served model: the workspace's identity."""
_NAME, _MODEL, _ATTACHED = f"{LABEL}.name", f"{LABEL}.model", f"{LABEL}.attached"
PORT = 8080
STOP_S = 10
_FOLDER = "/model"
_FILE, _TOKEN = "model.onnx", "token"
_NOBODY = 65534
_ALL = "0.0.0.0"  # noqa: S104 (what of it is published is another question)


@dataclass(frozen=True)
class Wanted:
    """What is to be served, and how. `attached`: as long as the command that started it."""

    name: str
    model: Path
    said: str
    """What the user called the model."""
    host: str
    port: int
    token: str | None
    memory: str
    attached: bool


@dataclass(frozen=True)
class Serving:
    """A container as the engine has it."""

    name: str
    model: str
    """As the user called it."""
    container: str
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
    def url(self) -> str:
        """How this machine reaches it."""
        return f"http://{'127.0.0.1' if self.host in (_ALL, '') else self.host}:{self.port}"


def called(workspace: Workspace, name: str) -> str:
    """What the engine calls container, network and volume."""
    return f"trainer-serve-{workspace.identity}-{name}"


def create(client: docker.DockerClient, workspace: Workspace, image: str, wanted: Wanted) -> str:
    """Make container, network and volume, with the model on it; its name. Nothing is started."""
    container_name = called(workspace, wanted.name)
    labels = {LABEL: workspace.identity}
    named = {_NAME: wanted.name, _MODEL: wanted.said, _ATTACHED: str(wanted.attached).lower()}
    with daemon.failures():
        # Without masquerading, what the container sends of itself finds no way back.
        client.networks.create(
            container_name, driver="bridge", labels=labels,
            options={"com.docker.network.bridge.enable_ip_masquerade": "false"},
        )  # fmt: skip
        client.volumes.create(container_name, labels=labels)
        container = client.containers.create(
            image,
            [
                f"{_FOLDER}/{_FILE}", "--host", _ALL, "--port", str(PORT), "--name", wanted.name,
                *([] if wanted.token else ["--published-on-loopback"]),
            ],
            name=container_name,
            labels={**labels, **named, "trainer.workspace_folder": str(workspace.root)},
            environment={"MODEL_SERVER_TOKEN_FILE": f"{_FOLDER}/{_TOKEN}"} if wanted.token else {},
            network=container_name,
            ports={f"{PORT}/tcp": (wanted.host, wanted.port)},
            volumes={container_name: {"bind": _FOLDER, "mode": "rw"}},
            restart_policy=None if wanted.attached else {"Name": "unless-stopped"},  # type: ignore[arg-type]
            user=f"{_NOBODY}:{_NOBODY}",
            read_only=True,
            mem_limit=wanted.memory,
            memswap_limit=wanted.memory,
            pids_limit=512,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
        )  # fmt: skip
        with _packed(wanted) as archive:
            container.put_archive(_FOLDER, archive)
    return container_name


@contextlib.contextmanager
def _packed(wanted: Wanted) -> Iterator[io.IOBase]:
    """The model and the token, which the server may read and not write."""
    with TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            entry = tarfile.TarInfo(_FILE)
            entry.mode, entry.size = 0o444, wanted.model.stat().st_size
            with wanted.model.open("rb") as content:
                tar.addfile(entry, content)
            if wanted.token:
                entry = tarfile.TarInfo(_TOKEN)
                entry.mode, entry.uid, entry.gid, entry.size = 0o400, _NOBODY, _NOBODY, len(wanted.token)
                tar.addfile(entry, io.BytesIO(wanted.token.encode()))
        file.seek(0)
        yield file


def start(client: docker.DockerClient, container_name: str, port: int) -> None:
    """Start it. Raises `InvalidInput` where the port is taken, `EngineError` for another reason."""
    from docker.errors import APIError

    with daemon.failures():
        try:
            client.containers.get(container_name).start()
        except APIError as error:
            reason = str(error.explanation)
            if "port is already allocated" in reason or "address already in use" in reason:
                raise InvalidInput(f"The port {port} is taken.", "Choose another one: --port") from None
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
        name=labels.get(_NAME, ""), model=labels.get(_MODEL, ""), container=str(container.name),
        image=str(container.attrs["Config"]["Image"]), status=container.status, host=binding["HostIp"],
        port=int(binding["HostPort"]), created=str(container.attrs["Created"]),
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
