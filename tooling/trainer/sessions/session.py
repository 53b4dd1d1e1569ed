"""A command in a container as a run has it, without a run: a shell, or a look at the model that is built.

What MLflow logs there goes into a journal that nobody delivers.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from trainkit import mlflow_in_run, run_environment

from trainer.backends.base import Launch
from trainer.backends.docker import session
from trainer.backends.docker.backend import DockerBackend
from trainer.errors import EngineError
from trainer.plan import consent, downloads
from trainer.plan.consent import Permission
from trainer.plan.run_plan import RunPlan
from trainer.progress import Steps
from trainer.runs.launch import prepare
from trainer.source import cache, snapshot
from trainer.subprocesses import interruptible
from trainer.tracking import delivery, outbound
from trainer.tracking.delivery import SpoolWriter
from trainer.tracking.endpoint import Server
from trainer.workspace import unfinished
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

_NOBODY = "http://127.0.0.1:9"
"""The server that what is logged would go to."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended. `output` is empty where it went to this process's own streams."""

    code: int
    output: str


def run(
    workspace: Workspace,
    plan: RunPlan,
    command: Sequence[str],
    screen: Steps,
    *,
    terminal: bool | None,
    begin: Callable[[], object],
    allowed: Collection[Permission] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Ended:
    """Run the command as the plan's would be, in the folder of its code, and leave nothing behind.

    `terminal` is whether it has this process's own one; with None its output is returned instead of printed.
    `begin` is called when all is ready for it to start.
    Raises `TrainerError` for what a run would be refused for.
    """
    with interruptible():
        consent.check(workspace, plan.asked, allowed)
        with _created(
            workspace, plan, command, screen, terminal=bool(terminal), environment=environment
        ) as container:
            begin()
            return _attached(container, shown=terminal is not None)


@contextmanager
def _created(
    workspace: Workspace,
    plan: RunPlan,
    command: Sequence[str],
    screen: Steps,
    *,
    terminal: bool,
    environment: Mapping[str, str],
) -> Iterator[str]:
    loaded, secret_environment = prepare.check(workspace, plan)
    backend = DockerBackend(workspace)
    screen.step("Connecting to the docker backend")
    backend.connect()
    backend.check(plan)
    screen.step(f"Preparing the image {plan.image.tag}")
    image_id = plan.image_id or backend.prepare(plan.image, screen)
    backend.preflight(plan)
    server = Server(_NOBODY)
    with unfinished.folder(workspace, unfinished.SESSION) as path:
        folder = RunFolder(path)
        _pack(workspace, plan, folder.source, backend.owner())
        if plan.inputs.downloads:
            screen.step("Connecting to the tracking server")
            client, _ = prepare.connect(workspace, backend, loaded, None)
            downloads.fetch(plan.inputs.downloads, folder, client.server, screen.step)
        SpoolWriter(folder).begin_offline(plan.tracking.experiment, "session", {})
        run = delivery.known_run(server, folder)
        launch = Launch(
            record=Record(run.id, plan.code.project, backend.name, server.uri, own_server=False),
            workspace=workspace.identity,
            image_id=image_id,
            folder=folder,
            environment={
                **environment,
                **(_logging(run.id, run.experiment_id) if plan.image.has_trainkit else {}),
            },
            secret_environment=secret_environment,
            outbound=backend.outbound(outbound.of(loaded), server).without(*plan.environment.variables),
        )
        screen.step("Starting the container")
        with session.created(backend.client, plan, launch, command, terminal=terminal) as container:
            yield container


def _logging(run_id: str, experiment_id: str) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": f"spool+{_NOBODY}",
        "MLFLOW_RUN_ID": run_id,
        mlflow_in_run.VARIABLE: run_id,
        "MLFLOW_EXPERIMENT_ID": experiment_id,
        run_environment.OFFLINE: "1",
    }


def _pack(workspace: Workspace, plan: RunPlan, archive: Path, owner: tuple[int, int]) -> None:
    uid, gid = owner
    folder = plan.code.folder
    if plan.asked.stored:  # no git there says what is the code
        snapshot.pack(folder, archive, uid=uid, gid=gid, paths=snapshot.unpacked(folder))
    else:
        cache.pack(workspace, folder, archive, uid=uid, gid=gid)


def _attached(container: str, *, shown: bool) -> Ended:
    """Start it with the `docker` command, which passes on the terminal, signals and the exit code."""
    # By default, Ctrl-P would wait for what detaches from the container.
    keys = "--detach-keys=ctrl-@,ctrl-^"
    start = ["docker", "start", "--attach", "--interactive", keys, container]
    try:
        if shown:
            return Ended(subprocess.run(start, check=False).returncode, "")
        done = subprocess.run(
            start, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        return Ended(done.returncode, done.stdout.decode(errors="replace"))
    except FileNotFoundError:
        raise EngineError("There is no program `docker` here.", "Install Docker's command line.") from None
