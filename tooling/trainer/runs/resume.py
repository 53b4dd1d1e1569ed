"""Taking up a run that was cut off: the same MLflow run goes on from its last checkpoint.

It gets what it had: the code that was stored with it, its image by the engine's id, its parameters. What of
that cannot be had is an error before anything runs.
"""

from __future__ import annotations

import os
import shlex
import tarfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from trainer import archives
from trainer.backends import registry
from trainer.backends.base import Backend
from trainer.datasets import inputs, recorded
from trainer.errors import BadInput
from trainer.masking import Masker
from trainer.plan import consent, run_image
from trainer.plan import request as plan
from trainer.plan.consent import Ask
from trainer.plan.request import RunPlan, RunRequest
from trainer.projects import docker_env, mlproject
from trainer.projects.mlproject import Project
from trainer.runs import stored_code, stored_run
from trainer.runs.launch import Earlier, Result, Screen, launch
from trainer.source import snapshot
from trainer.tracking import run_tags
from trainer.tracking.client import Client, Run
from trainer.tracking.failures import NotThere
from trainer.workspace import secrets, unfinished
from trainer.workspace.run_folder import LOG, RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

_MASKED = "***"


@dataclass(frozen=True)
class Resumption:
    """A run that can go on: its plan, and whether it does so from a checkpoint or from the beginning."""

    tracking_uri: str
    plan: RunPlan
    earlier: Earlier
    from_checkpoint: bool


@contextmanager
def prepared(
    workspace: Workspace, record: Record, screen: Screen, *, from_scratch: bool = False
) -> Iterator[Resumption]:
    """Within: everything is there for the run to go on. Nothing was changed yet.

    Raises `BadInput` for a run that goes on already, has finished, or whose data changed, and for one without
    a checkpoint unless `from_scratch` is said; `ImageError` where its image is gone.
    """
    screen.step("Looking at the run")
    client, run = stored_run.ended(workspace, record)
    _refuse(run)
    with unfinished.folder(workspace, unfinished.RESUMPTION) as place:
        folder = RunFolder(place)
        _download(workspace, client, run, stored_code.ARTIFACT, folder.source)
        try:
            _download(workspace, client, run, LOG, folder.log)
        except BadInput:
            folder.log.touch()  # it was cut off before it had one
        with tarfile.open(folder.source) as archive:
            archives.unpack(archive, place)
        project = replace(mlproject.load(place / "code"), name=record.project)
        docker_env.check_again(project.volumes, run.name)
        files = snapshot.unpacked(project.folder)
        digest = snapshot.pack(project.folder, Path(os.devnull), paths=files)
        planned = plan.make(workspace, _request(workspace, project, run, digest))
        _compare_command(workspace, planned, run)
        screen.step("Comparing the dataset with the one that the run had")
        _compare_data(workspace, planned, run)
        screen.step("Looking for the image and for checkpoints")
        backend = registry.named(planned.backend, workspace)
        backend.connect()
        planned = _in_its_image(backend, planned, run.tags[run_tags.IMAGE_ID])
        uid, gid = backend.owner()
        # What was looked at, and nothing else that the archive may hold.
        snapshot.pack(project.folder, folder.source, uid=uid, gid=gid, paths=files)
        kept = backend.has_checkpoints(planned, run.id)
        if not kept and not from_scratch:
            again = f"trainer resume {run.id[:8]} --from-scratch"
            raise BadInput(
                f"The run {run.name} left no checkpoint to resume from.",
                f"To start it from the beginning, in the same run: {again}",
            )
        restarts = int(run.tags.get(run_tags.RESTARTS, "0")) + 1
        earlier = Earlier(run, folder.source, folder.log, restarts)
        yield Resumption(client.server.uri, planned, earlier, kept)


def resume(
    workspace: Workspace,
    ready: Resumption,
    screen: Screen,
    *,
    detach: bool = False,
    allowed: Collection[Ask] = (),
) -> Result:
    """Let the run go on, and end it truthfully. Raises what `launch` raises."""
    uri = ready.tracking_uri
    return launch(
        workspace, ready.plan, screen, tracking_uri=uri, detach=detach, earlier=ready.earlier, allowed=allowed
    )


def _refuse(run: Run) -> None:
    if run.status in ("FINISHED", "DELETED"):
        raise BadInput(
            f"The run {run.name} is {run.status}: there is nothing to resume.",
            "A new run is started with: trainer run PROJECT",
        )
    if run.status == "RUNNING":
        raise BadInput(
            f"The server has the run {run.name} as RUNNING, and it is not on this machine.",
            "Resume it where it ran, after `trainer reconcile` there.",
        )
    if run_tags.IMAGE_ID not in run.tags:
        raise BadInput(
            f"The run {run.name} was not made by trainer: nothing says what it was made of.",
            "Only runs of trainer can be resumed.",
        )


def _download(workspace: Workspace, client: Client, run: Run, artifact: str, place: Path) -> None:
    try:
        with place.open("wb") as written:
            for piece in client.download(run, artifact):
                written.write(piece)
    except NotThere:
        raise stored_run.lacks(workspace, run, artifact) from None


def _request(workspace: Workspace, project: Project, run: Run, code_digest: str) -> RunRequest:
    tags = run.tags
    entry_point = project.entry_point(tags[run_tags.ENTRY_POINT])
    declared = {parameter.name for parameter in entry_point.parameters}
    # The script may have logged others of its own.
    parameters = {name: value for name, value in run.parameters.items() if name in declared}
    if entry_point.takes_any:
        extra = shlex.split(tags[run_tags.COMMAND])[len(mlproject.command_line(entry_point, {})) :]
        parameters |= {
            name.removeprefix("--"): value for name, value in zip(extra[::2], extra[1::2], strict=True)
        }
    return RunRequest(
        project=project,
        source=tags[run_tags.SOURCE_NAME],
        commit=tags.get(run_tags.GIT_COMMIT, ""),
        entry_point=entry_point.name,
        parameters=parameters,
        run_name=run.name,
        backend=registry.target(tags[run_tags.BACKEND]),
        gpus=tags[run_tags.GPUS],
        memory=None if tags[run_tags.MEMORY] == "unlimited" else tags[run_tags.MEMORY],
        seed=int(tags[run_tags.SEED]) if run_tags.SEED in tags else None,
        deterministic=tags.get(run_tags.DETERMINISTIC) == "true",
        keep_files=tags.get(run_tags.KEEP_FILES) == "true",
        recorded_image=run_image.recorded(
            workspace,
            tags[run_tags.IMAGE],
            tags.get(run_tags.IMAGE_DIGEST, ""),
            tags.get(run_tags.REQUIREMENTS_DIGEST, ""),
        ),
        stored=consent.StoredRun(
            run.id,
            consent.content(
                code_digest, tags[run_tags.COMMAND], tags[run_tags.IMAGE], tags[run_tags.IMAGE_ID]
            ),
        ),
    )


def _in_its_image(backend: Backend, planned: RunPlan, image_id: str) -> RunPlan:
    backend.recall(planned.image, image_id)
    asked = planned.asked
    if not backend.is_named(planned.image, image_id):
        image = consent.of_image(planned.image.tag, image_id)
        asked = replace(asked, asks=(*asked.asks, *image))
    return replace(planned, image_id=image_id, asked=asked)


def _compare_command(workspace: Workspace, planned: RunPlan, run: Run) -> None:
    """A parameter that was masked or cut where it is stored shows here."""
    masker = Masker(secrets.load(workspace).masked(planned.secret_names))
    recorded = run.tags[run_tags.COMMAND]
    if shlex.join(masker.tree(planned.command)) != recorded or _MASKED in recorded:
        raise BadInput(
            f"The command of the run {run.name} cannot be reconstructed from its record: {recorded}",
            "A secret or a very long text was one of its parameters. Start a new run: trainer run PROJECT",
        )


def _compare_data(workspace: Workspace, planned: RunPlan, run: Run) -> None:
    """What the run began with, it goes on with. Raises `CheckFailed`."""
    for parameter, name in planned.data.items():
        if digest := run.tags.get(inputs.tag(name)):
            recorded.verify(workspace, parameter, name, digest)
