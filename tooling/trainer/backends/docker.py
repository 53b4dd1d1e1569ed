"""Runs in a container of the Docker engine, over its API.

The code and the secrets are put into the created container as archives, so that a remote engine works as
well as a local one and nothing secret is in the container's configuration.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast
from urllib.parse import urlsplit

from trainer import build, disk, engine, environment_image, foreign, gpu, hardware, inputs, process, reach
from trainer.backends import CHECKPOINTS, End, Job, Launch, image_gone, read_result, shell_variables
from trainer.build import ImageOrigin
from trainer.container import NO_ENTRYPOINT, device_requests, private_tar, run, start_failure
from trainer.endpoint import CONTAINER_HOST, Network, Server
from trainer.environment_image import EnvironmentImage
from trainer.errors import BadInput, EngineError, GpuError, TrackingError
from trainer.foreign import ForeignImage
from trainer.gpu import Card
from trainer.hardware import Hardware
from trainer.meanwhile import Meanwhile
from trainer.plan import RunPlan, bytes_of, host_ids
from trainer.run_image import RunImage
from trainer.server import Bridge
from trainer.workspace import Workspace

if TYPE_CHECKING:
    import docker

PLACE, HOME, RESULT, SPOOL = "/trainer", "/trainer/home", "/trainer/result", "/trainer/spool"
PATIENCE_S = 60
GRACE_S = 5  # and telling engine and server takes a moment, on a busy machine too: 10 s is the promise
# The engine's init hands a signal on to the command too, not to the start script alone.
_TO_ALL = {"TINI_KILL_PROCESS_GROUP": "1"}
_TMPFS = {"/tmp": "exec,mode=1777"}  # noqa: S108 (the container's own; compilers of kernels run what they write)
_LOG = {"max-size": "1000t"}  # rotation would lose the beginning of train.log


class _State(TypedDict):
    Status: str
    ExitCode: int
    OOMKilled: bool


class DockerJob:
    """One container."""

    def __init__(self, client: docker.DockerClient, name: str) -> None:
        self._client = client
        self._name = name
        self._ended: End | None = None

    def follow(self) -> Iterator[bytes]:
        """The container's output, live. A closed stream is no end: look again until the container stopped."""
        since: float | None = None
        give_up: float | None = None
        while True:
            try:
                yield from self._logs(follow=True, since=since)
                since, give_up = time.time(), None
                if self.end() is not None:
                    return
            except EngineError:
                # The engine may be restarting; its containers are looked at again when it is back.
                since, give_up = since or time.time(), give_up or time.monotonic() + PATIENCE_S
                if time.monotonic() > give_up:
                    raise
                time.sleep(1)

    def output(self) -> Iterator[bytes]:
        """All of the container's output so far."""
        return self._logs(follow=False)

    def _logs(self, *, follow: bool, since: float | None = None) -> Iterator[bytes]:
        from docker.errors import NotFound

        with engine.failures(), contextlib.suppress(NotFound):
            yield from self._client.api.logs(self._name, stream=True, follow=follow, since=since)

    def end(self) -> End | None:
        """How the container ended; an end nobody saw if it is gone."""
        from docker.errors import NotFound

        if self._ended:
            return self._ended
        with engine.failures():
            try:
                state = cast(_State, self._client.api.inspect_container(self._name)["State"])
            except NotFound:
                return End(None)
            if state["Status"] == "created":
                return End(None)  # its launcher died before it started it
            if state["Status"] not in ("exited", "dead"):
                return None
            result = self._result()
            code, stopped_by = result or (state["ExitCode"], None)
            self._ended = End(code, state["OOMKilled"], stopped_by, recorded=result is not None)
            return self._ended

    def _result(self) -> tuple[int, int | None] | None:
        """What start.sh wrote when the command had ended, if it came to that."""
        from docker.errors import NotFound

        try:
            packed = b"".join(self._client.api.get_archive(self._name, RESULT)[0])
        except NotFound:
            return None
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            file = tar.extractfile(tar.getmembers()[0])
            return read_result(file.read().decode(errors="replace")) if file else None

    def fetch(self, folder: Path) -> None:
        """Bring the spool from the engine's machine; on this one it is mounted."""
        from docker.errors import NotFound

        if not engine.is_remote(engine.endpoint()):
            return
        with engine.failures(), contextlib.suppress(NotFound), tempfile.TemporaryFile() as packed:
            for piece in self._client.api.get_archive(self._name, SPOOL)[0]:
                packed.write(piece)
            packed.seek(0)
            with tarfile.open(fileobj=packed) as tar:
                tar.extractall(folder, filter="data")

    def stop(self) -> None:
        """SIGINT (a Python script runs its `finally`), SIGKILL after the grace period."""
        from docker.errors import APIError

        with engine.failures(), contextlib.suppress(APIError):
            self._client.api.stop(self._name, timeout=GRACE_S)

    def remove(self) -> None:
        """Remove the container with its anonymous volumes, killing it if it still runs."""
        from docker.errors import APIError

        with engine.failures(), contextlib.suppress(APIError):
            self._client.api.remove_container(self._name, force=True, v=True)


class DockerBackend:
    """Runs on the engine that the `docker` command uses."""

    name = "docker"

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._client: docker.DockerClient | None = None
        self._cards: tuple[Card, ...] = ()
        self._info: Meanwhile[engine.Info] | None = None

    @property
    def client(self) -> docker.DockerClient:
        """The connection to the engine, made when it is first needed."""
        if self._client is None:
            self._client = client = engine.connect()
            self._info = Meanwhile(lambda: engine.info(client))
        return self._client

    def connect(self) -> None:
        """Raises `EngineError` when no engine answers."""
        _ = self.client

    def check(self, plan: RunPlan) -> None:
        """Raises `BadInput` for files that the engine cannot mount, `CheckFailed` on a full disk here."""
        address = engine.endpoint()
        files = [mount.source for mount in plan.mounts if mount.kind == "bind"]
        files += [inputs.without_password(uri) for uri in plan.downloads.values()]
        if files and engine.is_remote(address):
            raise BadInput(
                f"{files[0]} is on this machine; the engine at {address} cannot mount it.",
                "Run on a local engine, or let the script read the data from a URI.",
            )
        if plan.gpus != "none":
            self._check_gpu(plan)
        disk.check(self._workspace)

    def _check_gpu(self, plan: RunPlan) -> None:
        address = engine.endpoint()
        if not plan.image.has_cuda:
            raise gpu.no_cuda(plan.image.tag)
        # Not to build gigabytes first: once the image is there, a container is asked instead.
        is_here = not engine.is_remote(address) and build.image_id(self.client, plan.image.tag) is None
        if is_here and process.capture(["nvidia-smi", "-L"]) is None:
            raise gpu.no_driver(plan.gpus)

    def bridge(self) -> Bridge | None:
        """This host's address on the containers' network."""
        with engine.failures():
            return engine.bridge(self.client)

    def reachable_uri(self, tracking: Server) -> str:
        """The server's address as a container writes it; raises `TrackingError` where that cannot be."""
        if urlsplit(seen := tracking.container_uri).hostname == CONTAINER_HOST:
            address = engine.endpoint()
            if engine.is_remote(address):
                raise TrackingError(
                    f"The engine at {address} is another machine: "
                    f"its containers cannot reach {tracking.uri}.",
                    "Set MLFLOW_TRACKING_URI to a server that both machines reach.",
                )
        return seen

    def prepare(self, image: RunImage, report: Callable[[str], None]) -> str:
        """Build the image if it is missing or stale, or pull it; returns the engine's id of it.

        Raises `CheckFailed` where the engine's disk is full.
        """
        disk.check(self._workspace, engine.root(self._said()))
        if isinstance(image, ForeignImage):
            return foreign.ensure(self.client, image, report)
        if isinstance(image, EnvironmentImage):
            return environment_image.ensure(self._workspace, self.client, image, report)
        return build.ensure(self._workspace, self.client, image, report)[0]

    def reach(self, plan: RunPlan, image_id: str, server: Server) -> None:
        """Ask the server from a container of the image, on the network that runs have."""
        seen = replace(server, uri=self.reachable_uri(server))
        reach.check(self._workspace, self.client, image_id, seen,
                    network=network(server.network), environment=plan.environment)  # fmt: skip

    def recall(self, image: RunImage, image_id: str, repo_digests: Sequence[str] = ()) -> None:
        """The image by its id; its tag, if it is ours, is given back to it if it names another one now.

        Raises `CheckFailed` where the engine's disk is full, as `prepare` does.
        """
        disk.check(self._workspace, engine.root(self._said()))
        if build.image_id(self.client, image_id) is None:
            for name in repo_digests:
                process.capture(["docker", "pull", "--quiet", name])
            if build.image_id(self.client, image_id) is None:
                raise image_gone(image)
        if isinstance(image, ForeignImage):
            return
        if build.image_id(self.client, image.tag) != image_id:
            with engine.failures():
                repository, _, tag = image.tag.partition(":")
                self.client.api.tag(image_id, repository, tag)

    def origin(self, image_id: str) -> ImageOrigin:
        """As the engine knows it."""
        return build.origin(self.client, image_id)

    def hardware(self) -> Hardware:
        """Of the engine's machine, which may be a virtual one."""
        info = self._said()
        here = hardware.this_machine(self._cards)
        return replace(
            here,
            system=f"{str(info['OSType']).capitalize()}-{info['KernelVersion']}-{info['Architecture']}",
            cpu="" if engine.is_remote(engine.endpoint()) else here.cpu,
            cpus=info["NCPU"],
            memory=info["MemTotal"],
        )

    def _said(self) -> engine.Info:
        """What the engine says of itself and its machine."""
        client = self.client
        return self._info.result() if self._info else engine.info(client)

    def has_checkpoints(self, plan: RunPlan, run_id: str) -> bool:
        """Looks into the cache's volume with a container of the run's image."""
        cache = next((mount for mount in plan.mounts if mount.target == "/cache"), None)
        if cache is None:
            return False
        place = f"{cache.target}/{CHECKPOINTS}/{run_id}"
        asking = ["find", place, "-type", "f", "!", "-name", "*.tmp", "!", "-name", "unfinished-*"]
        return bool(run(self.client, plan.image.tag, asking, mounts=[cache]).out.strip())

    def preflight(self, plan: RunPlan) -> None:
        """Compare the GPUs that a container of the image gets with what the image was built for."""
        if plan.gpus == "none":
            return
        tag = plan.image.tag
        seen = run(self.client, tag, gpu.QUERY, gpus=plan.gpus)
        if seen.code:
            raise GpuError(
                f"nvidia-smi failed in a container with --gpus {plan.gpus}: {(seen.err or seen.out).strip()}",
                f"Mend the driver or the container toolkit, {gpu.ON_PURPOSE}",
            )
        self._cards = gpu.cards(seen.out)
        if not plan.image.has_trainkit:  # nothing in it can be asked
            return
        remembered = self._workspace.state / "gpu" / f"{plan.image.digest}.json"
        built = gpu.built_for(remembered, lambda: run(self.client, tag, gpu.BUILT_FOR).out)
        gpu.check(tag, built, self._cards, self._workspace.settings.gpu_free_gb)

    def start(self, plan: RunPlan, launch: Launch, before: Callable[[], object]) -> Job:
        """Create the container, put code and secrets into it, start it."""
        from docker.errors import APIError

        job = DockerJob(self.client, container_name(launch.run_id))
        try:
            with engine.failures():
                container = self.client.api.create_container_from_config(
                    container_config(self.client, plan, launch, self._entrypoint(plan, launch)),
                    container_name(launch.run_id),
                )["Id"]
                self.client.api.put_archive(container, PLACE, _private_files(launch))
                if engine.is_remote(engine.endpoint()):
                    self.client.api.put_archive(container, PLACE, _spool_files(launch))
                with launch.archive.open("rb") as archive:
                    self.client.api.put_archive(container, PLACE, archive)
                before()
                try:
                    self.client.api.start(container)
                except APIError as problem:
                    raise start_failure(plan.gpus, problem) from None
        except BaseException:
            job.remove()
            raise
        return job

    def _entrypoint(self, plan: RunPlan, launch: Launch) -> tuple[str, ...]:
        is_foreign = isinstance(plan.image, ForeignImage)
        return foreign.entrypoint(self.client, launch.image_id) if is_foreign else ()

    def attach(self, run_id: str, folder: Path) -> Job:  # noqa: ARG002 (a container is found by its name)
        """The container of that run."""
        return DockerJob(self.client, container_name(run_id))


def network(own: Network | None) -> dict[str, object]:
    """The network that runs reach the server by, as options of docker-py: its own, else the default one."""
    return {"extra_hosts": {CONTAINER_HOST: "host-gateway"}, "network_mode": own.name if own else None}


def container_name(run_id: str) -> str:
    """`trainer-` and the run's id: so a run's container is found without looking it up."""
    return f"trainer-{run_id}"


def container_config(
    client: docker.DockerClient, plan: RunPlan, launch: Launch, entrypoint: tuple[str, ...] = ()
) -> dict[str, object]:
    """The body of the engine's "create a container" call. No secret value is in it.

    `entrypoint` is what the image has before every command: the start script comes before that.
    """
    from docker.types import DeviceRequest, LogConfig, Mount

    mounts = [Mount(m.target, m.source, m.kind, read_only=m.read_only) for m in plan.mounts]
    # The run's own folder: a volume without a name, since nothing can be put into a read-only container.
    own = [Mount(PLACE, None)] if plan.read_only else []
    memory = bytes_of(plan.memory) if plan.memory else None
    ids = host_ids()
    # Another machine cannot mount this one's folder: there the spool is put in, and fetched at the end.
    is_remote = engine.is_remote(engine.endpoint())
    fetched = [
        Mount(f"/inputs/{name}", str(launch.folder / inputs.FOLDER / name), "bind", read_only=True)
        for name in plan.downloads
    ]
    spool = [] if is_remote else [Mount(SPOOL, str(launch.spool), "bind")]
    host = client.api.create_host_config(
        mounts=[*mounts, *fetched, *own, *spool],
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        init=True,
        pids_limit=plan.pids_limit,
        read_only=plan.read_only,
        tmpfs=_TMPFS if plan.read_only else None,
        **network(launch.network),  # type: ignore[arg-type]  # docker-py's own options
        shm_size=bytes_of(plan.shared_memory),
        mem_limit=memory,
        memswap_limit=memory,  # equal to the limit: no swap on top of it
        device_requests=[DeviceRequest(**request) for request in device_requests(plan.gpus)],
        log_config=LogConfig(type="json-file", config=_LOG),
    )
    return client.api.create_container_config(
        launch.image_id,
        ["sh", "/trainer/start.sh", RESULT, "/trainer/environment", *entrypoint, *plan.command],
        entrypoint=NO_ENTRYPOINT,
        user=f"{ids[0]}:{ids[1]}" if ids else None,
        environment={
            **plan.environment,
            **launch.environment,
            "HOME": HOME,
            "USER": "trainer",
            "TRAINER_SPOOL": SPOOL,
            **_TO_ALL,
        },
        working_dir="/trainer/code",
        labels=dict(launch.labels),
        stop_signal="SIGINT",
        stop_timeout=GRACE_S,  # for a `docker stop`, too
        host_config=host,
    )


def _private_files(launch: Launch) -> bytes:
    """/trainer with the start script, the secret variables and MLflow's credentials file, as a tar."""
    start = Path(__file__).with_name("start.sh").read_bytes()
    secret = shell_variables(launch.secret_environment).encode()
    files = {"./": b"", "home/.mlflow/": b"", "start.sh": start, "environment": secret}
    if launch.credentials:
        files["home/.mlflow/credentials"] = credentials_file(launch.credentials).encode()
    return private_tar(files, *(host_ids() or (1000, 1000)))


def _spool_files(launch: Launch) -> bytes:
    uid, gid = host_ids() or (1000, 1000)

    def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid, entry.gid = uid, gid
        return entry

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(launch.spool, "spool", filter=owned)
    return packed.getvalue()


def credentials_file(credentials: tuple[str, str]) -> str:
    """The file ~/.mlflow/credentials, which MLflow's client reads by itself; its parser doubles `%`."""
    username, password = (text.replace("%", "%%") for text in credentials)
    return f"[mlflow]\nmlflow_tracking_username = {username}\nmlflow_tracking_password = {password}\n"
