"""Taking up a run that was cut off: the same MLflow run goes on from its last checkpoint.

It gets what it had: the code that was stored with it, its image by the engine's id, its parameters. What of
that cannot be had is an error before anything runs.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from trainer.backends import registry
from trainer.backends.base import Backend
from trainer.datasets import recorded
from trainer.errors import InvalidInput
from trainer.masking import MASK, Masker
from trainer.plan import consent, run_image
from trainer.plan import request as plan
from trainer.plan.consent import Permission
from trainer.plan.request import RunRequest
from trainer.plan.run_plan import RunPlan
from trainer.projects import docker_env
from trainer.runs import stored_run
from trainer.runs.launch import Reporter, Result, ResumedRun, launch
from trainer.runs.stored_run import FetchedRun
from trainer.source import snapshot
from trainer.tracking import run_tags
from trainer.tracking.client import Client, Run
from trainer.tracking.failures import NotThere
from trainer.workspace import secrets, unfinished
from trainer.workspace.run_folder import LOG, RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class Resumption:
    """A run that can go on: its plan, and whether it does so from a checkpoint or from the beginning."""

    tracking_uri: str
    plan: RunPlan
    earlier: ResumedRun
    from_checkpoint: bool


@contextmanager
def prepared(
    workspace: Workspace, record: Record, screen: Reporter, *, from_scratch: bool = False
) -> Iterator[Resumption]:
    """Within: everything is there for the run to go on. Nothing was changed yet.

    Raises `InvalidInput` for a run that goes on already, has finished, or whose data changed, and for one
    without a checkpoint unless `from_scratch` is said; `ImageError` where its image is gone.
    """
    screen.step("Looking at the run")
    client, run = stored_run.ended(workspace, record)
    _refuse(run)
    pinned = stored_run.pins_of(client, run)
    with unfinished.folder(workspace, unfinished.RESUMPTION) as folder_path:
        folder, stored = RunFolder(folder_path), FetchedRun(client, run, pinned, folder_path)
        stored_run.fetch_code(workspace, stored)
        _fetch_log(client, run, folder.log)
        docker_env.check_again(stored.project.volumes, run.name)
        planned = plan.make(workspace, _request(workspace, stored))
        _compare_command(workspace, planned, stored)
        screen.step("Comparing the dataset with the one that the run had")
        for data in pinned.data:
            if data.is_dataset:
                recorded.verify(workspace, data.parameter, data.name, data.digest)
        screen.step("Looking for the image and for checkpoints")
        backend = registry.named(planned.backend, workspace)
        backend.connect()
        planned = _in_its_image(backend, planned, pinned.image.id)
        uid, gid = backend.owner()
        # What was looked at, and nothing else that the archive may hold.
        files = snapshot.unpacked(stored.code)
        snapshot.pack(stored.code, folder.source, uid=uid, gid=gid, paths=files)
        has_checkpoint = backend.has_checkpoints(planned, run.id)
        if not has_checkpoint and not from_scratch:
            command = f"trainer resume {run.id[:8]} --from-scratch"
            raise InvalidInput(
                f"The run {run.name} left no checkpoint to resume from.",
                f"To start it from the beginning, in the same run: {command}",
            )
        restarts = int(run.tags.get(run_tags.RESTARTS, "0")) + 1
        earlier = ResumedRun(run, folder.source, folder.log, restarts)
        yield Resumption(client.server.uri, planned, earlier, has_checkpoint)


def resume(
    workspace: Workspace,
    ready: Resumption,
    screen: Reporter,
    *,
    detach: bool = False,
    allowed: Collection[Permission] = (),
) -> Result:
    """Let the run go on, and end it truthfully. Raises what `launch` raises."""
    uri = ready.tracking_uri
    return launch(
        workspace, ready.plan, screen, tracking_uri=uri, detach=detach, earlier=ready.earlier, allowed=allowed
    )


def _refuse(run: Run) -> None:
    if run.status in ("FINISHED", "DELETED"):
        raise InvalidInput(
            f"The run {run.name} is {run.status}: there is nothing to resume.",
            "A new run is started with: trainer run PROJECT",
        )
    if run.status == "RUNNING":
        raise InvalidInput(
            f"The server has the run {run.name} as RUNNING, and it is not on this machine.",
            "Resume it where it ran, after `trainer reconcile` there.",
        )
    if run_tags.IMAGE_ID not in run.tags:
        raise InvalidInput(
            f"The run {run.name} was not made by trainer: nothing says what it was made of.",
            "Only runs of trainer can be resumed.",
        )


def _fetch_log(client: Client, run: Run, log: Path) -> None:
    with log.open("wb") as written, contextlib.suppress(NotThere):  # it was cut off before it had one
        for piece in client.download(run, LOG):
            written.write(piece)


def _request(workspace: Workspace, stored: FetchedRun) -> RunRequest:
    pinned, image, git = stored.pins, stored.pins.image, stored.pins.git
    command = shlex.join(pinned.command.run)
    return RunRequest(
        project=stored.project,
        source=pinned.source,
        commit=git.commit if git else "",
        entry_point=pinned.entry_point,
        parameters={name: parameter.value for name, parameter in pinned.parameters.items()},
        run_name=stored.run.name,
        backend=registry.target(pinned.backend),
        gpus=pinned.resources.gpus,
        cpus=pinned.resources.cpus,
        memory=pinned.resources.memory,
        seed=pinned.seed,
        deterministic=pinned.deterministic,
        keep_files=pinned.keep_files,
        warm_start=pinned.warm_start,
        recorded_image=run_image.recorded(workspace, image.tag, image.digest, image.requirements_digest),
        stored=consent.StoredRun(
            stored.run.id, consent.content(pinned.code_digest, command, image.tag, image.id)
        ),
    )


def _in_its_image(backend: Backend, planned: RunPlan, image_id: str) -> RunPlan:
    backend.recall(planned.image, image_id)
    requested = planned.asked
    if not backend.is_named(planned.image, image_id):
        image = consent.of_image(planned.image.tag, image_id)
        requested = replace(requested, asks=(*requested.asks, *image))
    return replace(planned, image_id=image_id, asked=requested)


def _compare_command(workspace: Workspace, planned: RunPlan, stored: FetchedRun) -> None:
    """A parameter that was masked where it is stored shows here."""
    masker = Masker(secrets.load(workspace).masked(planned.environment.secret_names))
    before = stored.pins.command.run
    if masker.tree(planned.command) != before or any(MASK.decode() in word for word in before):
        raise InvalidInput(
            f"The command of the run {stored.run.name} cannot be reconstructed from its record: "
            f"{shlex.join(before)}",
            "A secret was one of its parameters. Start a new run: trainer run PROJECT",
        )
