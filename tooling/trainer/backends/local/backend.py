"""Runs as a process of this machine, in a virtual environment made from the image's lock file."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from trainkit import run_environment

from trainer import archives, locks, subprocesses, urls
from trainer.backends import environments
from trainer.backends.base import (
    Job,
    JobState,
    Launch,
    image_gone,
    of_slot,
    shell_variables,
)
from trainer.backends.local import cores
from trainer.backends.local.job import LocalJob
from trainer.engine.bridge import Bridge
from trainer.engine.run_user import host_ids
from trainer.errors import InvalidInput
from trainer.host import disk, gpu, hardware, process_group
from trainer.host.gpu import Card
from trainer.host.hardware import Hardware
from trainer.images.build import ImageOrigin
from trainer.images.image import RunImage
from trainer.plan.run_plan import RunPlan
from trainer.progress import Steps
from trainer.slots import devices
from trainer.slots.need import Capacity, Need, Slot
from trainer.tracking.endpoint import Server
from trainer.tracking.outbound import Outbound
from trainer.workspace import run_folder
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

_START = Path(__file__).parents[1] / "start.sh"
# What a process needs of its surroundings; everything else is passed only if the project declares it.
_INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE",
              "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")  # fmt: skip
_DEVICES = "CUDA_VISIBLE_DEVICES"


class LocalBackend:
    """Runs on this machine without a container."""

    name = "local"
    isolated = False

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._cards: tuple[Card, ...] = ()
        self._cores = cores.Cores()

    def connect(self) -> None:
        """This machine is always there."""

    def check(self, plan: RunPlan) -> None:
        """Raises `InvalidInput` for a limit that takes a container, `GpuError` without a GPU."""
        disk.check(self._workspace)
        if not plan.image.has_environment:
            raise InvalidInput(
                f"The local backend cannot run in the image {plan.image.tag}: it has no containers.",
                "Use the docker backend, or name a trainer image: --image NAME",
            )
        if plan.inputs.warm_start:
            raise InvalidInput(
                "--warm-start needs a container: the local backend fetches no model.",
                "Use the docker backend.",
            )
        if plan.inputs.downloads:
            parameter, uri = next(iter(plan.inputs.downloads.items()))
            raise InvalidInput(
                f"--{parameter} is {urls.without_password(uri)}: the local backend fetches nothing.",
                "Fetch it and name the file, or use the docker backend.",
            )
        if plan.needs_bash and shutil.which("bash") is None:
            raise InvalidInput(
                "This machine has no bash, which the run's command needs.",
                "Install it, or use the docker backend.",
            )
        if plan.resources.memory:
            raise InvalidInput(
                "--memory needs a container: the local backend cannot limit memory.",
                "Leave it out, or use the docker backend.",
            )
        cores.check(plan.resources.cpus)
        if plan.resources.read_only:
            raise InvalidInput(
                "--read-only needs a container: the local backend cannot keep a run from writing.",
                "Leave it out (--no-read-only, or read_only in trainer.yaml), or use the docker backend.",
            )
        if plan.resources.gpus != "none" and not plan.image.has_cuda:
            raise gpu.no_cuda(plan.image.name)
        if plan.resources.gpus != "none" and subprocesses.capture(["nvidia-smi", "-L"]) is None:
            raise gpu.no_driver(plan.resources.gpus)

    def bridge(self) -> Bridge | None:
        """Processes of this host use its loopback."""
        return None

    def reachable_uri(self, tracking: Server) -> str:
        """The address itself."""
        return tracking.uri

    def outbound(self, settings: Outbound, tracking: Server) -> Outbound:  # noqa: ARG002 (it is this machine's)
        """All of it; to this machine itself there is no proxy."""
        return settings.directly_to("127.0.0.1", "localhost")

    def prepare(self, image: RunImage, steps: Steps) -> str:
        """Make the virtual environment if it is not there; returns its folder's name."""
        return environments.prepare(self._workspace, image, steps).name

    def reach(self, plan: RunPlan, image_id: str, server: Server) -> None:
        """A process of this machine reaches what this one has reached."""

    def owner(self) -> tuple[int, int]:
        """The caller's: a job is a process of its own."""
        return host_ids()

    def recall(self, image: RunImage, image_id: str, repo_digests: Sequence[str] = ()) -> None:  # noqa: ARG002 (no registry has environments)
        """The environment by the name of its folder."""
        if not self.is_named(image, image_id) or not environments.is_complete(self._environment(image)):
            raise image_gone(image)

    def is_named(self, image: RunImage, image_id: str) -> bool:
        """The identity is the name."""
        return self._environment(image).name == image_id

    def origin(self, image_id: str) -> ImageOrigin:
        """The environment, on this Python."""
        return ImageOrigin(image_id, (), f"Python {platform.python_version()}", "", "")

    def hardware(self, slot: Slot | None = None) -> Hardware:  # noqa: ARG002 (GPUs are in no slot here)
        """Of this machine."""
        return hardware.this_machine(self._cards)

    def has_checkpoints(self, plan: RunPlan, run_id: str) -> bool:
        """Looks into the workspace's cache."""
        place = (
            Path(plan.environment.variables[run_environment.CACHE_DIR]) / run_environment.CHECKPOINTS / run_id
        )
        return any(
            path.is_file()
            and path.suffix != run_environment.UNFINISHED_SUFFIX
            and not path.name.startswith(run_environment.UNFINISHED_PREFIX)
            for path in place.rglob("*")
        )

    def preflight(self, plan: RunPlan) -> None:
        """Compare this machine's GPUs with what the environment's frameworks were built for."""
        if plan.resources.gpus == "none":
            return
        if not plan.image.has_trainkit:  # nothing in it can be asked
            return
        place = self._environment(plan.image)
        asking = [str(place / "bin" / gpu.BUILT_FOR[0]), *gpu.BUILT_FOR[1:]]
        built = gpu.built_for(place.with_suffix(".gpu.json"), lambda: subprocesses.capture(asking) or "[]")
        chosen = _gpu_variables(plan.resources.gpus).get(_DEVICES)
        self._cards = gpu.chosen(
            plan.resources.gpus, gpu.cards(subprocesses.capture(gpu.QUERY) or ""), chosen
        )
        gpu.check(plan.image.name, built, self._cards, self._workspace.settings.gpu_free_gb)

    def claim(self, need: Need, image_id: str) -> Slot:  # noqa: ARG002 (no image has cores)
        """Cores alone: which GPUs others use is not known here, and memory is not to be limited."""
        if need.memory is not None:
            raise InvalidInput(
                "--memory needs a container: the local backend cannot reserve memory.",
                "Leave it out, or use the docker backend.",
            )
        return self._cores.take(replace(need, gpus="none"))

    def release(self, slot: Slot) -> None:
        """A job that was started with the cores has them until it ends."""
        self._cores.give_back(slot.token)

    def capacity(self, image_id: str = "") -> Capacity:
        """Of this machine; its GPUs where an image is named."""
        listed = subprocesses.capture(devices.QUERY) if image_id else None
        gpus = tuple(device.uuid for device in devices.read(listed or ""))
        return Capacity(gpus, cores.available(), hardware.this_machine(()).memory)

    def start(self, plan: RunPlan, launch: Launch, before: Callable[[], object]) -> Job:
        """Unpack the code in the run's folder and start the command there."""
        folder = launch.folder
        Path(plan.environment.variables[run_environment.CACHE_DIR]).mkdir(parents=True, exist_ok=True)
        with tarfile.open(folder.source) as code:
            archives.unpack(code, folder.path)
        secret = dict(launch.secret_environment)
        if launch.credentials:
            secret["MLFLOW_TRACKING_USERNAME"], secret["MLFLOW_TRACKING_PASSWORD"] = launch.credentials
        _write_private(folder.job_environment, shell_variables(secret))
        before()
        alive = locks.acquire(folder.job_lock)
        if alive is None:
            raise RuntimeError("a run's folder is used by one job alone")
        with folder.job_output.open("wb") as output, cores.bound(launch.slot):
            child = subprocess.Popen(
                ["sh", str(_START), str(folder.job_result), str(folder.job_environment),
                 *plan.command],
                cwd=folder.job_code, env=self._variables(plan, launch), stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                pass_fds=[alive.fileno(), *self._cores.files(launch.slot)],
            )  # fmt: skip
        folder.job_pid.write_text(str(child.pid))
        alive.release()
        if launch.slot:
            self.release(launch.slot)
        return LocalJob(folder, child)

    def attach(self, run_id: str, folder: RunFolder) -> Job:  # noqa: ARG002 (a process is found by its folder)
        """The process that was started in that folder."""
        return LocalJob(folder)

    def changes(self) -> Iterator[object]:
        """Nothing tells of processes of others."""
        return iter(())

    def list_jobs(self, records: Sequence[Record], *, of_all: bool) -> list[JobState]:  # noqa: ARG002 (others are not known)
        """Of this workspace alone: nothing lists those of others."""
        ours = self._workspace
        folders = [run_folder.of(ours, record.run_id) for record in records]
        return [
            _state(record, ours.identity, LocalJob(folder))
            for record, folder in zip(records, folders, strict=True)
        ]

    def _environment(self, image: RunImage) -> Path:
        return environments.folder(self._workspace, image)

    def _variables(self, plan: RunPlan, launch: Launch) -> dict[str, str]:
        place = self._environment(plan.image)
        variables = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        variables |= {
            **launch.outbound.variables,
            **plan.environment.variables,
            **launch.environment,
            **_gpu_variables(plan.resources.gpus),
            **of_slot(launch.slot),
        }
        variables[run_environment.SPOOL] = str(launch.spool)
        return variables | {
            "VIRTUAL_ENV": str(place),
            "PATH": f"{place / 'bin'}:{variables.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def _state(record: Record, workspace: str, job: LocalJob) -> JobState:
    state = JobState(record, workspace, job.end() is None)
    group = job.group if state.running else None
    used, now = process_group.use(group) if group else None, time.time()
    if group is None or used is None:
        return state
    devices = process_group.variable(group, _DEVICES)  # without it a process sees all
    return replace(
        state,
        memory=used.memory,
        cpus=used.cpu_seconds / max(now - record.started, 0.001),
        cpu_seconds=used.cpu_seconds,
        measured_at=now,
        cores=process_group.bound_to(group),
        gpus=("all",) if devices is None else tuple(filter(None, devices.split(","))),
    )


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def _gpu_variables(gpus: str) -> dict[str, str]:
    if gpus == "none":
        return {_DEVICES: ""}
    if gpus == "all":
        return {}
    devices = gpus.removeprefix("device=") if "=" in gpus else ",".join(map(str, range(int(gpus))))
    return {_DEVICES: devices}
