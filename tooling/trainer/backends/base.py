"""Where a run is executed: what every backend can do.

A started job does not depend on this process: it goes on when the launcher dies, and whoever looks next
(`trainer reconcile`, the next `trainer run`) can attach to it by what was written down.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from trainer.engine.bridge import Bridge
from trainer.errors import ImageError
from trainer.host import cores
from trainer.host.hardware import Hardware
from trainer.images.build import ImageOrigin
from trainer.images.image import RunImage
from trainer.plan.run_plan import RunPlan
from trainer.progress import Steps
from trainer.slots.need import Capacity, Need, Slot
from trainer.tracking.endpoint import Network, Server
from trainer.tracking.outbound import Outbound
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record


@dataclass(frozen=True)
class Launch:
    """What a job needs beyond the plan. `folder` is the run's own, on the host; printing shows no secret."""

    record: Record
    """What is written down about the run. A backend may keep it with the job, for when it is lost."""
    workspace: str
    """The identity of the run's workspace."""
    image_id: str
    """What `Backend.prepare` returned: a tag may mean another image by the time the job starts."""
    folder: RunFolder
    environment: Mapping[str, str]
    secret_environment: Mapping[str, str] = field(repr=False)
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    outbound: Outbound = field(default=Outbound(), repr=False)
    """What it takes to get to the tracking server, and out."""
    network: Network | None = None
    """What a container joins to reach the tracking server; None for the engine's default one."""
    slot: Slot | None = None
    """What the job has for itself of the machine."""
    repeated_code: str = ""
    """The digest of code that is large and was launched before as it is: it may be kept where it runs."""

    @property
    def run_id(self) -> str:
        """The run's."""
        return self.record.run_id

    @property
    def spool(self) -> Path:
        """Where the run's journal is, on the host."""
        return self.folder.spool


@dataclass(frozen=True)
class JobResult:
    """How a job ended, as its backend saw it."""

    exit_code: int | None
    """As the operating system reported it, 128 + n for signal n; None if unknown."""
    out_of_memory: bool = False
    stopped_by: int | None = None
    """The signal that the whole job was sent."""
    recorded: bool = True
    """Whether the start script saw the command end. Without that, not even an exit code of 0 is a success."""
    at: float | None = field(default=None, compare=False)
    """When, in seconds since 1970 by the clock of where it ran; None if unknown."""


class Job(Protocol):
    """A started job."""

    def follow(self) -> Iterator[bytes]:
        """Its output from the beginning, live, until it ends."""

    def output(self) -> Iterator[bytes]:
        """Its output so far."""

    def end(self) -> JobResult | None:
        """How it ended; None while it runs."""

    def fetch(self, folder: RunFolder) -> None:
        """Bring what it wrote into its spool to the run's folder, if it is elsewhere."""

    def written(self) -> Mapping[str, int]:
        """Of a job that has ended, the files that it wrote in its code's folder: path there → bytes."""

    def bring(self, path: str, folder: Path) -> Path | None:
        """One of these files on this machine, perhaps in the folder `folder`; None if it is gone."""

    def stop(self) -> None:
        """End it within 10 s, politely first: SIGINT, then SIGKILL."""

    def remove(self) -> None:
        """Leave nothing of it behind. Safe to call twice."""


@dataclass(frozen=True)
class JobState:
    """A job as its backend sees it; `memory` (bytes) and `cpus` (mean since its start) of running ones."""

    record: Record
    """What was written down about its run, or what the backend knows of that."""
    workspace: str
    """The identity of the workspace that launched it."""
    running: bool
    memory: int | None = None
    cpus: float | None = None
    cpu_seconds: float | None = None
    """What `cpus` is the mean of: what it had used by `measured_at`, in seconds since 1970."""
    measured_at: float = 0.0
    cores: str = ""
    """The numbers of those that it is bound to, as `0-1,4`; empty for all of the machine."""
    gpus: tuple[str, ...] = ()
    """Numbers or UUIDs; `all` for all that there are."""

    def rate_since(self, earlier: JobState) -> float | None:
        """The mean number of cores in use since then; None where one of the two was not measured."""
        if self.cpu_seconds is None or earlier.cpu_seconds is None or self.measured_at <= earlier.measured_at:
            return None
        used = self.cpu_seconds - earlier.cpu_seconds
        return max(used, 0.0) / (self.measured_at - earlier.measured_at)


class Backend(Protocol):
    """A place to run in. Which there are: `registry`."""

    name: str
    isolated: bool
    """Whether a run sees only what is mounted into its container, and not this machine's files."""

    def connect(self) -> None:
        """Raise `EngineError` (or another) at once when runs cannot be executed here."""

    def check(self, plan: RunPlan) -> None:
        """Raise `InvalidInput`, `CheckFailed` or `GpuError`, before anything is made, for what cannot run."""

    def bridge(self) -> Bridge | None:
        """The network that its jobs reach this host by, if it is not the host's own loopback."""

    def reachable_uri(self, tracking: Server) -> str:
        """The address of a tracking server as a job has to write it."""

    def outbound(self, proxies: Outbound, tracking: Server) -> Outbound:
        """What of this machine's way out a job can use, and how it gets to the server that way."""

    def prepare(self, image: RunImage, steps: Steps) -> str:
        """See to it that the image is there and return its identity."""

    def owner(self) -> tuple[int, int]:
        """The ids that own the code where a job unpacks it."""

    def recall(self, image: RunImage, image_id: str, repo_digests: Sequence[str] = ()) -> None:
        """See to it that the image is here as `prepare` returned its identity once; it gets no tag.

        It is pulled by one of the `repo_digests`, if there are any. Raises `ImageError` where it is not to be
        had.
        """

    def is_named(self, image: RunImage, image_id: str) -> bool:
        """Whether that identity is what the image's name stands for here."""

    def origin(self, image_id: str) -> ImageOrigin:
        """Where the image that `prepare` returned comes from."""

    def hardware(self, slot: Slot | None = None) -> Hardware:
        """Of the machine that its jobs are executed on, with the GPUs of the slot.

        Without a slot it is those that `preflight` found.
        """

    def has_checkpoints(self, plan: RunPlan, run_id: str) -> bool:
        """Whether a training of that run left something in checkpoints/RUN_ID of its cache."""

    def preflight(self, plan: RunPlan) -> None:
        """Raise, before the run exists, where the GPUs do not suit the image that `prepare` got ready."""

    def claim(self, need: Need, image_id: str) -> Slot:
        """Take what the need says, for one run; `image_id` is what `prepare` returned.

        Of all who claim at once, in any workspace and by any user of the machine, one gets it. It is the
        caller's until `release`, until the job that was started with it is removed, or until this process
        ends without such a job. Raises `NoFreeSlot`, saying who has it, where it is in use now, and
        `InvalidInput` or `GpuError` for more than the machine has.
        """

    def release(self, slot: Slot) -> None:
        """Give it back. Safe to call twice."""

    def capacity(self, image_id: str = "") -> Capacity:
        """What the machine has; its GPUs are looked at with that image, and not at all without one."""

    def reach(self, plan: RunPlan, image_id: str, server: Server) -> None:
        """Raise `TrackingError`, before the run exists, where its job could not reach the server."""

    def start(self, plan: RunPlan, launch: Launch, before: Callable[[], object]) -> Job:
        """Start the job; `before` is called when all is ready for that.

        On failure, which may be what `before` raises, nothing of it is left behind.
        """

    def attach(self, run_id: str, folder: RunFolder) -> Job:
        """The job that was started for that run, perhaps by a process that is gone."""

    def changes(self) -> Iterator[object]:
        """Blocks, and yields something whenever a job has ended, whoever's it is; may end at any time.

        Raises `EngineError` where that cannot be told.
        """

    def list_jobs(self, records: Sequence[Record], *, of_all: bool) -> list[JobState]:
        """The jobs of these runs as far as they are there, and with `of_all` those of other workspaces.

        Takes 2 s at most. Raises `EngineError` where that is not known.
        """


class NotWarm(Exception):
    """A run, or all of a plan's, cannot be forked from an interpreter that stays, and why: no sentence."""


class WarmEnded(NotWarm):
    """Its container has ended: no run will be had from it."""


class WarmContainer(Protocol):
    """A container whose interpreter has imported what a script imports first. It has one run at a time."""

    def start(self, plan: RunPlan, launch: Launch, before: Callable[[], object]) -> Job:
        """As `Backend.start`, in a process that is forked. Waits until the imports are over.

        Raises `NotWarm`, before `before` is called, where this run is not to be had so; `WarmEnded` where
        none is.
        """

    def close(self) -> None:
        """Remove it, with the run that it may have. Safe to call twice."""


@runtime_checkable
class WarmBackend(Protocol):
    """A backend that has such containers."""

    def warm(self, plan: RunPlan, launch: Launch, folder: Path) -> WarmContainer:
        """Start one for runs like this plan's; `launch` is that of no run, and `folder` does not exist.

        Waits for nothing. It ends by itself when this process is gone. Raises `NotWarm` for a plan whose
        runs cannot be forked, and `EngineError`.
        """

    def clear_warm(self, parent: Path) -> None:
        """Remove those whose folders were in that one, whose process is gone, and that no run is left in."""


def read_result(text: str) -> tuple[int, int | None] | None:
    """Exit code, and the signal that the job was sent, of what start.sh wrote; None for anything else."""
    words = text.split()
    if not 1 <= len(words) <= 2 or not all(word.isdecimal() for word in words):
        return None
    code, signal = int(words[0]), int(words[1]) if len(words) == 2 else None
    return (code, signal) if code < 256 and (signal or 0) < 128 else None


def shell_variables(variables: Mapping[str, str]) -> str:
    """Variables as a file that `sh` reads, whatever characters the values have."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())


def of_slot(slot: Slot | None) -> dict[str, str]:
    """What start.sh is told of a job's own cores: how many threads its frameworks use."""
    return {"TRAINER_CPUS": str(len(cores.read(slot.cpus)))} if slot and slot.cpus else {}


def image_gone(image: RunImage) -> ImageError:
    """The image that a run was made in is not here, or was rebuilt since."""
    return ImageError(
        f"The image of the run, {image.tag}, no longer exists unchanged.",
        "A run can only be resumed in its own image. Start a new one: trainer run PROJECT",
    )
