"""A sweep is begun, or taken up again: afterwards everything is there for its trials to be run."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from trainer import archives
from trainer.backends import registry
from trainer.errors import InvalidInput
from trainer.plan import consent
from trainer.plan.consent import Permission
from trainer.plan.request import RunRequest
from trainer.plan.run_plan import RunPlan
from trainer.projects import mlproject
from trainer.projects.mlproject import Project
from trainer.runs.launch import Reporter, prepare
from trainer.runs.launch.prepare import PackedCode, PreparedLaunch
from trainer.slots.need import Need
from trainer.source import snapshot
from trainer.subprocesses import deferred_signals
from trainer.sweeps import needs, parent, requests, resume, state
from trainer.sweeps.requests import Origin, Unit
from trainer.sweeps.search import space, spec_file
from trainer.sweeps.search.spec import SweepSpec
from trainer.sweeps.state import Begun, SweepFolder
from trainer.sweeps.studies import rebuilt
from trainer.sweeps.studies.study import Study, Torn
from trainer.tracking.artifacts import roots as artifact_roots
from trainer.tracking.client import Run
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class Opened:
    """A sweep whose trials can be run by this process, which holds its lock."""

    workspace: Workspace
    folder: SweepFolder
    spec: SweepSpec
    request: RunRequest
    ready: PreparedLaunch
    parent: Run
    study: Study
    need: Need
    """Of each trial."""
    children: Sequence[Run] = ()
    """Runs of its trials that there are already."""

    def plan(self, unit: Unit) -> RunPlan:
        """The plan of one run of a trial."""
        return requests.plan(self.workspace, self.request, unit, self.spec, self.parent.id)


Allow: TypeAlias = Callable[[RunPlan], Collection[Permission]]
"""What the user allows of what a plan asks for, when they are asked."""


def _planned(
    workspace: Workspace, spec: SweepSpec, project: Project, origin: Origin
) -> tuple[RunRequest, RunPlan]:
    """What all trials have in common, and the plan of one with the first values of what is searched.

    Of several at once, each has one GPU where its image uses any.
    """
    request, first = requests.base(spec, project, origin), Unit(0, space.first(spec.dimensions))
    plan = requests.plan(workspace, request, first, spec, "")
    if plan.resources.gpus == "all" and request.gpus is None and spec.parallel > 1:
        request = replace(request, gpus="1")
        plan = requests.plan(workspace, request, first, spec, "")
    return request, plan


def checked(
    workspace: Workspace, spec: SweepSpec, project: Project, origin: Origin
) -> tuple[RunRequest, RunPlan]:
    """What all trials have in common, and the plan of one of them.

    Raises `TrainerError` for what is known to be in the way before an image is built or a server is asked:
    `EngineUnavailable` when only the engine can say whether there is more.
    """
    request, planned = _planned(workspace, spec, project, origin)
    backend = registry.named(planned.backend, workspace)
    prepare.check(workspace, planned)
    backend.check(planned)  # what can be told without an engine first
    backend.connect()
    needs.of(spec, planned, backend.capacity())
    return request, planned


@contextmanager
def begun(
    workspace: Workspace,
    spec: SweepSpec,
    project: Project,
    origin: Origin,
    screen: Reporter,
    *,
    allow: Allow,
    tracking_uri: str | None = None,
    beside_others: bool = False,
) -> Iterator[Opened]:
    """Within: a new sweep. Raises `TrainerError` before anything of it exists.

    `beside_others`: though there is one of the same command that is not finished.
    """
    request, planned = checked(workspace, spec, project, origin)
    consent.check(workspace, planned.asked, allow(planned))
    with ExitStack() as held, tempfile.TemporaryDirectory(dir=_made(workspace.state)) as made:
        for remark in planned.remarks:
            screen.remark(remark)
        ready = prepare.prepare(workspace, planned, screen, tracking_uri)
        for remark in ready.remarks:
            screen.remark(remark)
        need = _need(spec, ready)
        screen.step("Packing the code")
        archive = Path(made) / "source.tar.gz"
        uid, gid = ready.backend.owner()
        digest = snapshot.pack(project.folder, archive, uid=uid, gid=gid)
        at = snapshot.commit(project.folder)
        client, name, has_trainkit = ready.client, planned.tracking.experiment, planned.image.has_trainkit
        experiment = artifact_roots.find(client, name, has_trainkit=has_trainkit)
        experiment = experiment or artifact_roots.make(client, name, has_trainkit=has_trainkit)
        with state.beginning(workspace), deferred_signals():
            if not beside_others:
                state.refuse_another(workspace, spec)
            run = parent.create(ready, experiment, spec)
            begun_as = Begun(
                client.server.uri,
                ready.own_server,
                planned.backend,
                origin,
                str(project.folder.resolve()),
                ready.image_id,
                digest,
                at,
            )
            folder = state.create(workspace, run.id, spec, begun_as, archive, held)
        ready = replace(ready, code=PackedCode(folder.archive, digest, at))
        yield Opened(workspace, folder, spec, request, ready, run, Study.open(folder.study, spec), need)


@contextmanager
def resumed(workspace: Workspace, folder: SweepFolder, screen: Reporter, *, allow: Allow) -> Iterator[Opened]:
    """Within: a sweep that goes on, with the code and the image that it began with."""
    spec, was = spec_file.read(folder.spec), folder.begun()
    with folder.lock(), tempfile.TemporaryDirectory(dir=_made(workspace.state)) as made:
        project = _project(folder.archive, Path(made), Path(was.folder))
        request, planned = _planned(workspace, spec, project, was.origin)
        planned = replace(planned, image_id=was.image_id)
        consent.check(workspace, planned.asked, allow(planned))
        backend = registry.named(planned.backend, workspace)
        backend.connect()
        backend.recall(planned.image, was.image_id)
        uri = None if was.own_server else was.tracking_uri
        ready = replace(prepare.prepare(workspace, planned, screen, uri), code=folder.code())
        run = ready.client.get_run(folder.parent_id)
        if run.status == "DELETED":
            raise InvalidInput(
                f"The parent run of the sweep, {run.name}, was deleted.",
                f"Restore it (trainer runs restore {run.id[:8]}), or start another sweep.",
            )
        need = _need(spec, ready)
        children = resume.children(workspace, ready.client, run)
        study = _study(folder, spec, children)
        parent.go_on(ready.client, run)
        yield Opened(workspace, folder, spec, request, ready, run, study, need, children)


def _project(archive: Path, unpacked: Path, folder: Path) -> Project:
    """The project as it was when the sweep began, at its place."""
    with contextlib.closing(tarfile.open(archive)) as packed:
        archives.unpack(packed, unpacked)
    project = mlproject.load(unpacked / "code")
    return replace(project, folder=folder) if folder.is_dir() else project


def _study(folder: SweepFolder, spec: SweepSpec, children: Sequence[Run]) -> Study:
    """From its journal; from the runs, where that is lost, torn, or an older one."""
    told = resume.trials(spec, children)
    with contextlib.suppress(Torn):
        if folder.study.exists():
            study = Study.open(folder.study, spec)
            if {trial.number for trial in told} <= {trial.number for trial in study.trials}:
                return study
    return rebuilt.rebuild(folder.study, spec, told)


def _need(spec: SweepSpec, ready: PreparedLaunch) -> Need:
    image_id = "" if ready.plan.resources.gpus == "none" else ready.image_id
    return needs.of(spec, ready.plan, ready.backend.capacity(image_id))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
