"""Runs as a process of this machine, in a virtual environment made from the image's lock file."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import stat
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from trainkit import run_environment

from trainer import archives, locks, subprocesses, urls
from trainer.backends import environments
from trainer.backends.base import (
    End,
    Job,
    Launch,
    Seen,
    image_gone,
    read_result,
    shell_variables,
)
from trainer.engine.bridge import Bridge
from trainer.engine.run_user import host_ids
from trainer.errors import BadInput, ImageError
from trainer.host import disk, gpu, hardware
from trainer.host.gpu import Card
from trainer.host.hardware import Hardware
from trainer.images.build import ImageOrigin
from trainer.images.image import RunImage
from trainer.plan.run_plan import RunPlan
from trainer.tracking.endpoint import Server
from trainer.tracking.outbound import Outbound
from trainer.workspace import run_folder, unfinished
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

GRACE_S = 5  # as in a container
_POLL_S = 0.05
_CODE_S = 86400  # no file of the code is newer: its archive says no times
_HERE = Path(__file__).parent
# What a process needs of its surroundings; everything else is passed only if the project declares it.
_INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE",
              "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")  # fmt: skip


class LocalJob:
    """One process group and the folder it runs in."""

    def __init__(self, folder: RunFolder, child: subprocess.Popen[bytes] | None = None) -> None:
        self._folder = folder
        self._child = child

    def follow(self) -> Iterator[bytes]:
        """The output file as it grows."""
        with self._folder.job_output.open("rb") as written:
            while True:
                ended = self.end() is not None
                yield from iter(lambda: written.read(1 << 16), b"")
                if ended:
                    return
                time.sleep(_POLL_S)

    def output(self) -> Iterator[bytes]:
        """The output file so far."""
        with contextlib.suppress(FileNotFoundError), self._folder.job_output.open("rb") as written:
            yield from iter(lambda: written.read(1 << 16), b"")

    def end(self) -> End | None:
        """The result that was written down; unknown if the process is gone without one."""
        if self._child is not None:
            self._child.poll()  # or it would stay a zombie
        alive = locks.held(self._folder.job_lock)
        # Looked at after the lock: the start script writes the result before it lets go.
        with contextlib.suppress(FileNotFoundError):
            written = self._folder.job_result
            if result := read_result(written.read_text()):
                return End(result[0], stopped_by=result[1], at=written.stat().st_mtime)
        return None if alive else End(None)

    def fetch(self, folder: RunFolder) -> None:
        """It wrote there itself."""

    def written(self) -> dict[str, int]:
        """What is newer in its folder than the code, which is of 1970."""
        found = {}
        for current, folders, names in os.walk(code := self._folder.job_code):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for path in (Path(current) / name for name in names):
                with contextlib.suppress(OSError):
                    seen = path.lstat()
                    if stat.S_ISREG(seen.st_mode) and seen.st_mtime > _CODE_S:
                        found[str(path.relative_to(code))] = seen.st_size
        return found

    def bring(self, path: str, place: Path) -> Path | None:  # noqa: ARG002 (it is on this machine)
        """The file itself."""
        file = self._folder.job_code / path
        return file if file.exists() else None

    def stop(self) -> None:
        """SIGINT to the whole group, SIGKILL after the grace period."""
        self._signal(signal.SIGINT)
        give_up = time.monotonic() + GRACE_S
        while self.end() is None and time.monotonic() < give_up:
            time.sleep(_POLL_S)
        self._signal(signal.SIGKILL)
        while locks.held(self._folder.job_lock) and time.monotonic() < give_up + 2:
            time.sleep(_POLL_S)

    def _signal(self, number: int) -> None:
        # The lock says that the group is still the one we started, not a later one with the same number.
        if locks.held(self._folder.job_lock):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
                os.killpg(int(self._folder.job_pid.read_text()), number)

    def remove(self) -> None:
        """End what still runs; the folder itself belongs to the launcher."""
        self._signal(signal.SIGKILL)


class LocalBackend:
    """Runs on this machine without a container."""

    name = "local"
    isolated = False

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._cards: tuple[Card, ...] = ()

    def connect(self) -> None:
        """This machine is always there."""

    def check(self, plan: RunPlan) -> None:
        """Raises `BadInput` for a limit that takes a container, `GpuError` for a GPU that is not there."""
        disk.check(self._workspace)
        if not plan.image.has_environment:
            raise BadInput(
                f"The local backend cannot run in the image {plan.image.tag}: it has no containers.",
                "Use the docker backend, or name a trainer image: --image NAME",
            )
        if plan.inputs.downloads:
            parameter, uri = next(iter(plan.inputs.downloads.items()))
            raise BadInput(
                f"--{parameter} is {urls.without_password(uri)}: the local backend fetches nothing.",
                "Fetch it and name the file, or use the docker backend.",
            )
        if plan.needs_bash and shutil.which("bash") is None:
            raise BadInput(
                "This machine has no bash, which the run's command needs.",
                "Install it, or use the docker backend.",
            )
        if plan.resources.memory:
            raise BadInput(
                "--memory needs a container: the local backend cannot limit memory.",
                "Leave it out, or use the docker backend.",
            )
        if plan.resources.read_only:
            raise BadInput(
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

    def outbound(self, found: Outbound, tracking: Server) -> Outbound:  # noqa: ARG002 (it is this machine's)
        """All of it; to this machine itself there is no proxy."""
        return found.directly_to("127.0.0.1", "localhost")

    def prepare(self, image: RunImage, report: Callable[[str], None]) -> str:
        """Make the virtual environment if it is not there; returns its folder's name."""
        place = self._environment(image)
        complete = place / "trainer-complete"
        with locks.exclusive(place.with_suffix(".lock")):
            if not complete.exists():
                from uv import find_uv_bin

                shutil.rmtree(place, ignore_errors=True)
                with unfinished.folder(self._workspace, unfinished.ENVIRONMENT) as source:
                    for command in image.environment(place, source, find_uv_bin()):
                        _install(command, report)
                complete.touch()
        return place.name

    def reach(self, plan: RunPlan, image_id: str, server: Server) -> None:
        """A process of this machine reaches what this one has reached."""

    def owner(self) -> tuple[int, int]:
        """The caller's: a job is a process of its own."""
        return host_ids()

    def recall(self, image: RunImage, image_id: str, repo_digests: Sequence[str] = ()) -> None:  # noqa: ARG002 (no registry has environments)
        """The environment by the name of its folder."""
        is_here = (self._environment(image) / "trainer-complete").exists()
        if not self.is_named(image, image_id) or not is_here:
            raise image_gone(image)

    def is_named(self, image: RunImage, image_id: str) -> bool:
        """The identity is the name."""
        return self._environment(image).name == image_id

    def origin(self, image_id: str) -> ImageOrigin:
        """The environment, on this Python."""
        return ImageOrigin(image_id, (), f"Python {platform.python_version()}", "", "")

    def hardware(self) -> Hardware:
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
        chosen = _gpu_variables(plan.resources.gpus).get("CUDA_VISIBLE_DEVICES")
        self._cards = gpu.chosen(
            plan.resources.gpus, gpu.cards(subprocesses.capture(gpu.QUERY) or ""), chosen
        )
        gpu.check(plan.image.name, built, self._cards, self._workspace.settings.gpu_free_gb)

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
        with folder.job_output.open("wb") as output:
            child = subprocess.Popen(
                ["sh", str(_HERE / "start.sh"), str(folder.job_result), str(folder.job_environment),
                 *plan.command],
                cwd=folder.job_code, env=self._variables(plan, launch), stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True, pass_fds=[alive.fileno()],
            )  # fmt: skip
        folder.job_pid.write_text(str(child.pid))
        alive.release()
        return LocalJob(folder, child)

    def attach(self, run_id: str, folder: RunFolder) -> Job:  # noqa: ARG002 (a process is found by its folder)
        """The process that was started in that folder."""
        return LocalJob(folder)

    def look(self, records: Sequence[Record], *, of_all: bool) -> list[Seen]:  # noqa: ARG002 (others are not known)
        """Of this workspace alone: nothing lists those of others."""
        ours = self._workspace
        folders = [run_folder.of(ours, record.run_id) for record in records]
        return [
            Seen(record, ours.identity, LocalJob(folder).end() is None)
            for record, folder in zip(records, folders, strict=True)
        ]

    def _environment(self, image: RunImage) -> Path:
        return environments.folder(self._workspace, image)

    def _variables(self, plan: RunPlan, launch: Launch) -> dict[str, str]:
        environment = self._environment(plan.image)
        variables = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        variables |= {
            **launch.outbound.variables,
            **plan.environment.variables,
            **launch.environment,
            **_gpu_variables(plan.resources.gpus),
        }
        variables[run_environment.SPOOL] = str(launch.spool)
        return variables | {
            "VIRTUAL_ENV": str(environment),
            "PATH": f"{environment / 'bin'}:{variables.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def _install(command: list[str], report: Callable[[str], None]) -> None:
    last = ""
    try:
        for line in subprocesses.lines(command):
            last = line.strip() or last
            report(line)
    except subprocess.CalledProcessError:
        raise ImageError(
            f"The local environment could not be made: {last}",
            "Check that the package registry can be reached, then try again.",
        ) from None


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def _gpu_variables(gpus: str) -> dict[str, str]:
    if gpus == "none":
        return {"CUDA_VISIBLE_DEVICES": ""}
    if gpus == "all":
        return {}
    devices = gpus.removeprefix("device=") if "=" in gpus else ",".join(map(str, range(int(gpus))))
    return {"CUDA_VISIBLE_DEVICES": devices}
