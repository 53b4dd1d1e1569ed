"""Runs in a container of the Docker engine, over its API.

The code and the secrets are put into the created container as archives, so that a remote engine works as
well as a local one and nothing secret is in the container's configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainkit import run_environment

from trainer import concurrency
from trainer.backends.base import Job, JobState, Launch, WarmContainer, image_gone
from trainer.backends.docker import abilities, code_layer, containers
from trainer.backends.docker import reachability as reach
from trainer.backends.docker.config import (
    CODE,
    PLACE,
    container_config,
    container_name,
    network,
    private_files,
    spool_files,
)
from trainer.backends.docker.job import DockerJob
from trainer.backends.docker.slots import claims, machine
from trainer.backends.docker.slots.machine import Suitable
from trainer.backends.docker.warm import container
from trainer.backends.docker.warm import job as warm_job
from trainer.engine import daemon, run_user
from trainer.engine.bridge import Bridge
from trainer.engine.one_off import run, start_failure
from trainer.errors import TrackingError
from trainer.host import disk, hardware
from trainer.host.gpu import Card
from trainer.host.hardware import Hardware
from trainer.images import build, external
from trainer.images.build import ImageOrigin
from trainer.images.image import RunImage
from trainer.plan.run_plan import RunPlan
from trainer.progress import Steps
from trainer.slots.devices import Device
from trainer.slots.need import Capacity, Need, Slot
from trainer.tracking.endpoint import CONTAINER_HOST, Server
from trainer.tracking.outbound import Outbound
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker


class DockerBackend:
    """Runs on the engine that the `docker` command uses."""

    name = containers.NAME
    isolated = True

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._client: docker.DockerClient | None = None
        self._suitable = Suitable()
        self._devices: tuple[Device, ...] = ()
        self._info: Future[daemon.Info] | None = None

    @property
    def client(self) -> docker.DockerClient:
        """The connection to the engine, made when it is first needed."""
        if self._client is None:
            self._client = client = daemon.connect()
            self._info = concurrency.submit(lambda: daemon.info(client))
        return self._client

    def connect(self) -> None:
        """Raises `EngineError` when no engine answers."""
        _ = self.client

    def check(self, plan: RunPlan) -> None:
        """Raises `InvalidInput` for what the engine cannot give the plan, `CheckFailed` on a full
        disk here.
        """
        abilities.check(self._workspace, lambda: self.client, self._said, plan)
        disk.check(self._workspace)

    def bridge(self) -> Bridge | None:
        """This host's address on the containers' network."""
        with daemon.failures():
            return daemon.bridge(self.client)

    def reachable_uri(self, tracking: Server) -> str:
        """The server's address as a container writes it; raises `TrackingError` where that cannot be."""
        if urlsplit(uri := tracking.container_uri).hostname == CONTAINER_HOST:
            address = daemon.endpoint()
            if daemon.is_remote(address):
                raise TrackingError(
                    f"The engine at {address} is another machine: "
                    f"its containers cannot reach {tracking.uri}.",
                    "Set MLFLOW_TRACKING_URI to a server that both machines reach.",
                )
        return uri

    def outbound(self, settings: Outbound, tracking: Server) -> Outbound:
        """Without the proxies of this machine's localhost, and with none to a server of this machine."""
        host = urlsplit(tracking.container_uri).hostname or ""
        usable = settings.without(*settings.of_this_machine)
        return usable.directly_to(host) if tracking.container_uri != tracking.uri else usable

    def prepare(self, image: RunImage, steps: Steps) -> str:
        """Build the image if it is missing or stale, or pull it; returns the engine's id of it.

        Raises `CheckFailed` where the engine's disk is full.
        """
        disk.check(self._workspace, daemon.root(self._said()))
        return image.ensure(self._workspace, self.client, steps)

    def reach(self, plan: RunPlan, image_id: str, server: Server) -> None:
        """Ask the server from a container of the image, on the network that runs have."""
        way_out = self.outbound(server.outbound, server)
        reachable = replace(server, uri=self.reachable_uri(server), outbound=way_out)
        reach.check(self._workspace, self.client, image_id, reachable,
                    network=network(server.network), environment=plan.environment.variables,
                    needs_bash=plan.needs_bash)  # fmt: skip

    def owner(self) -> tuple[int, int]:
        """The run's user, in its container."""
        user = run_user.of(self.client)
        return user.uid, user.gid

    def recall(self, image: RunImage, image_id: str, repo_digests: Sequence[str] = ()) -> None:
        """The image by its id: a tag would make everybody's of it, and who says the id may be a stranger.

        Raises `CheckFailed` where the engine's disk is full, as `prepare` does.
        """
        disk.check(self._workspace, daemon.root(self._said()))
        if not build.is_there(self.client, image_id, repo_digests):
            raise image_gone(image)

    def is_named(self, image: RunImage, image_id: str) -> bool:
        """By its tag."""
        return build.image_id(self.client, image.tag) == image_id

    def origin(self, image_id: str) -> ImageOrigin:
        """As the engine knows it."""
        return build.origin(self.client, image_id)

    def hardware(self, slot: Slot | None = None) -> Hardware:
        """Of the engine's machine, which may be a virtual one."""
        info = self._said()
        here = hardware.this_machine(self._cards(slot))
        return replace(
            here,
            system=f"{str(info['OSType']).capitalize()}-{info['KernelVersion']}-{info['Architecture']}",
            cpu="" if daemon.is_remote(daemon.endpoint()) else here.cpu,
            cpus=info["NCPU"],
            memory=info["MemTotal"],
        )

    def _said(self) -> daemon.Info:
        """What the engine says of itself and its machine."""
        client = self.client
        return self._info.result() if self._info else daemon.info(client)

    def _cards(self, slot: Slot | None) -> tuple[Card, ...]:
        if slot is None:
            return self._suitable.expected
        numbers = [device.index.partition(":")[0] for device in self._devices if device.uuid in slot.gpus]
        return tuple(card for card in self._suitable.cards if card.index in numbers)

    def has_checkpoints(self, plan: RunPlan, run_id: str) -> bool:
        """Looks into the cache's volume with a container of the run's image."""
        cache = next((mount for mount in plan.inputs.mounts if mount.target == run_environment.CACHE), None)
        if cache is None:
            return False
        asking = _checkpoints(f"{cache.target}/{run_environment.CHECKPOINTS}/{run_id}")
        output = run(self.client, plan.image_reference, asking, mounts=[replace(cache, read_only=True)])
        return bool(output.out.strip())

    def preflight(self, plan: RunPlan) -> None:
        """Compare the GPUs that a container of the image gets with what the image was built for."""
        if plan.resources.gpus == "none":
            return
        self._suitable = machine.suitable(self.client, self._workspace, plan)

    def claim(self, need: Need, image_id: str) -> Slot:
        """Kept by the engine: see `backends.docker.slots`."""
        if need.gpus != "none":
            self._devices = machine.seen(self.client, image_id)
        least, unsuitable = self._workspace.settings.gpu_free_gb, self._suitable.unsuitable
        what = machine.of(self._said(), self._devices, least, unsuitable)
        return claims.take(self.client, need, image_id, what)

    def release(self, slot: Slot) -> None:
        """Removes its container."""
        claims.give_back(self.client, slot.token)

    def capacity(self, image_id: str = "") -> Capacity:
        """Of the engine's machine."""
        info = self._said()
        gpus = machine.seen(self.client, image_id) if image_id else ()
        return Capacity(tuple(device.uuid for device in gpus), machine.cpus(info), info["MemTotal"])

    def start(self, plan: RunPlan, launch: Launch, before: Callable[[], object]) -> Job:
        """Create the container, put code and secrets into it, start it."""
        from docker.errors import APIError

        slot = launch.slot.token if launch.slot else ""
        job, user = DockerJob(self.client, container_name(launch.run_id), slot), run_user.of(self.client)
        if user.stranger and plan.inputs.downloads:
            run_user.open_to_others(launch.folder.inputs)
        try:
            with daemon.failures():
                entrypoint, folder = self._entrypoint(plan, launch)
                with self._layered(plan, launch) as layered:
                    image = layered or launch.image_id
                    new = self.client.api.create_container_from_config(
                        container_config(
                            self.client, plan, replace(launch, image_id=image), user, entrypoint, folder
                        ),
                        container_name(launch.run_id),
                    )["Id"]
                if launch.slot:
                    claims.confirm(self.client, launch.slot, launch.image_id, self._said()["MemTotal"])
                self.client.api.put_archive(new, PLACE, private_files(launch, user, folder))
                if not layered:
                    with launch.folder.source.open("rb") as archive:
                        self.client.api.put_archive(new, PLACE, archive)
                before()  # which may write into the spool
                if user.stranger:
                    self.client.api.put_archive(new, PLACE, spool_files(launch, user))
                try:
                    self.client.api.start(new)
                except APIError as error:
                    raise start_failure(plan.resources.gpus, error) from None
        except BaseException:
            job.remove()
            raise
        return job

    def _layered(self, plan: RunPlan, launch: Launch) -> AbstractContextManager[str | None]:
        # In a read-only container the code is in a volume, which the engine would fill file by file too.
        if plan.resources.read_only or not launch.repeated_code:
            return nullcontext()
        return code_layer.layered(self.client, self._workspace, plan.code.folder, launch)

    def _entrypoint(self, plan: RunPlan, launch: Launch) -> tuple[tuple[str, ...], str]:
        """What comes before the command, and the folder that it is run in.

        MLflow runs it in the image's WORKDIR. So do we where a volume has the project there: what
        the script writes is to be found where `mlflow run` leaves it.
        """
        if not plan.image.has_entrypoint:
            return (), CODE
        before, working = external.entrypoint(self.client, launch.image_id)
        folder = plan.code.folder.resolve()
        own = {mount.target for mount in plan.inputs.mounts if Path(mount.source).resolve() == folder}
        return before, working if working in own else CODE

    def attach(self, run_id: str, folder: RunFolder) -> Job:
        """The container of that run, or its process in one that other runs have, too."""
        if folder.job_warm.exists():
            return warm_job.WarmJob(self.client, run_id, folder)
        return DockerJob(self.client, container_name(run_id))

    def changes(self) -> Iterator[object]:
        """The engine says it."""
        wanted = {"type": "container", "event": ["die", "destroy"], "label": containers.RUN_ID}
        with daemon.failures():
            yield from daemon.connect().events(decode=True, filters=wanted)

    def warm(self, plan: RunPlan, launch: Launch, folder: Path) -> WarmContainer:
        """See `warm.container`."""
        return container.start(self.client, self._workspace, plan, launch, folder)

    def clear_warm(self, parent: Path) -> None:
        """By their labels."""
        container.clear(self.client, parent)

    def list_jobs(self, records: Sequence[Record], *, of_all: bool) -> list[JobState]:
        """In one question to the engine, and another about those that have a container in turns."""
        ids = {record.run_id for record in records}
        jobs = containers.within_moments(containers.of_runs)
        own = [job for job in jobs if of_all or job.record.run_id in ids]
        return own + warm_job.states(self.client, self._workspace, records, of_all=of_all)


def _checkpoints(path: str) -> list[str]:
    """What lists the complete ones there."""
    unfinished = f"*{run_environment.UNFINISHED_SUFFIX}", f"{run_environment.UNFINISHED_PREFIX}*"
    return ["find", path, "-type", "f", *(word for name in unfinished for word in ("!", "-name", name))]
