"""What a shell is opened in: the image, code and data of a project, of an image alone, or of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from trainer.backends import registry
from trainer.errors import InvalidInput, TrackingError
from trainer.images import spec
from trainer.plan import request
from trainer.plan.request import RunRequest
from trainer.plan.run_plan import RunPlan
from trainer.progress import Steps
from trainer.projects import mlproject, sources
from trainer.projects.mlproject import EntryPoint, Project
from trainer.projects.parameters import Parameter, nearest
from trainer.runs import reproduce, resolve, stored_run
from trainer.workspace import unfinished
from trainer.workspace.settings import Workspace

_ENTRY_POINT = "main"


@contextmanager
def of(
    workspace: Workspace, name: str, steps: Steps, *, image: str | None = None, gpus: str | None = None
) -> Iterator[RunPlan]:
    """Within: the plan of a run of a project, in an image, or of what a run was, without its parameters.

    A name that several of these have is the project's, then the image's. `image` is instead of the project's.

    Raises `InvalidInput` for a name that is none; what `reproduce.check` does for a run.
    """
    if name in sources.names(workspace) or sources.is_remote(name) or _is_folder(name):
        source = sources.resolve(workspace, name)
        try:
            project = mlproject.load(source.folder)
            yield _of_project(workspace, project, RunRequest(
                project, source.name, registry.target(registry.DEFAULT), source.commit, image=image, gpus=gpus
            ))  # fmt: skip
        finally:
            source.close()
    elif _is_image(workspace, name):
        if image:
            raise InvalidInput(f"{name} is an image, and --image names another.", "Leave out one of them.")
        with unfinished.folder(workspace, unfinished.SESSION) as folder:
            (folder / "code").mkdir()
            project = Project(name, folder / "code", None, (EntryPoint(_ENTRY_POINT, "sh"),))
            yield request.make(workspace, RunRequest(
                project, name, registry.target(registry.DEFAULT), image=name, gpus=gpus
            ))  # fmt: skip
    else:
        if image or gpus:
            option = "--image" if image else "--gpus"
            raise InvalidInput(f"{option} is not for a run: a run has its own.", "Leave it out.")
        with _of_run(workspace, name, steps) as plan:
            yield plan


def _of_project(workspace: Workspace, project: Project, asked: RunRequest) -> RunPlan:
    """With the datasets that it would have by default, as far as they are there."""
    declared = project.entry_points[:1]
    datasets = tuple(p for entry in declared for p in entry.parameters if p.dataset and p.default is not None)
    try:
        return _without_values(workspace, asked, datasets)
    except InvalidInput:
        return _without_values(workspace, asked, ())


def _without_values(workspace: Workspace, asked: RunRequest, parameters: tuple[Parameter, ...]) -> RunPlan:
    entry_point = EntryPoint(_ENTRY_POINT, "sh", parameters)
    return request.make(
        workspace, replace(asked, project=replace(asked.project, entry_points=(entry_point,)))
    )


def _is_folder(name: str) -> bool:
    """A plain name of a folder may be a run's: `trainer download` makes one."""
    folder = Path(name)
    return folder.is_dir() and (name != folder.name or bool(mlproject.project_file(folder)))


def _is_image(workspace: Workspace, name: str) -> bool:
    specs = spec.discover(workspace).values()
    return ":" in name or "/" in name or any(name in (image.name, *image.aliases) for image in specs)


@contextmanager
def _of_run(workspace: Workspace, name: str, steps: Steps) -> Iterator[RunPlan]:
    try:
        record = resolve.resolve(workspace, name)
    except resolve.AmbiguousRun:
        raise
    except (InvalidInput, TrackingError):
        names = [*sources.names(workspace), *spec.discover(workspace)]
        near = nearest(name, names, "")
        if name.startswith("@") or not near.startswith("Did"):
            raise
        raise InvalidInput(f"There is no project, image or run {name}.", near) from None
    with stored_run.fetched(workspace, record, steps.step) as stored:
        yield reproduce.check(workspace, stored, steps.step).plan
