"""Making a run again, from what was stored with it, and comparing the metrics of both.

It gets the recorded code, image, parameters and data. What cannot be had is said, all of it at once, before
anything runs; what is another machine or another trainer is a remark.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version

from trainer.backends import registry
from trainer.backends.base import Backend
from trainer.datasets import recorded
from trainer.errors import CheckFailed, ImageError, InvalidInput, TrackingError, TrainerError
from trainer.images.image import RunImage
from trainer.masking import MASK
from trainer.plan import consent
from trainer.plan import request as plan
from trainer.plan.consent import Permission
from trainer.plan.request import RunRequest
from trainer.plan.run_plan import Rerun, RunPlan
from trainer.projects import docker_env
from trainer.projects.mlproject import Project
from trainer.runs import stored_run
from trainer.runs.launch import Reporter, Result, launch
from trainer.runs.run_record import RunRecord
from trainer.runs.stored_run import FetchedRun
from trainer.source.snapshot import Commit
from trainer.tracking import run_tags, tolerance
from trainer.tracking.client import Run
from trainer.tracking.tolerance import Compared, Tolerances
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace

_UNEQUAL = "the last digits may differ."


@dataclass(frozen=True)
class Reproduction:
    """A run that can be made again."""

    stored: FetchedRun
    plan: RunPlan
    has_image: bool
    """Whether the recorded image is there; else it is pulled, or rebuilt."""
    remarks: tuple[str, ...]

    @property
    def ways_to_image(self) -> tuple[str, ...]:
        """How the recorded image, if it is gone, may be had."""
        return _ways(self.plan.image, self.stored.pins)


@dataclass(frozen=True)
class _Obstacles:
    """What cannot be had."""

    obstacles: list[TrainerError] = field(default_factory=list)

    @contextmanager
    def collected(self) -> Iterator[None]:
        try:
            yield
        except TrainerError as error:
            self.obstacles.append(error)


def check(workspace: Workspace, stored: FetchedRun, step: Callable[[str], None]) -> Reproduction:
    """Look whether everything can be had. Raises the one obstacle, or `CheckFailed` with all of them."""
    obstacles, pinned = _Obstacles(), stored.pins
    image = stored_run.image_of(workspace, stored)
    for data in pinned.data:
        step(f"Comparing {data.name} with what the run had")
        with obstacles.collected():
            recorded.verify(workspace, data.parameter, data.name, data.digest)
    planned: RunPlan | None = None
    with obstacles.collected():
        planned = _plan(workspace, stored, image)
        loaded = secrets.load(workspace)
        plan.secret_values(planned, {name: loaded.get(name) for name in planned.environment.secret_names})
    backend = registry.named(pinned.backend, workspace)
    step(f"Connecting to the {pinned.backend} backend")
    backend.connect()
    has_image = is_known = False
    with obstacles.collected():
        has_image = _is_here(backend, image, pinned)
        if planned:
            asks = tuple(_asks(workspace, backend, image, pinned, has_image=has_image))
            is_known = has_image and not consent.open_asks(workspace, replace(planned.asked, asks=asks))
            requested = replace(planned.asked, asks=(*planned.asked.asks, *asks))
            planned = replace(planned, asked=requested, image_id=pinned.image.id if has_image else "")
        if planned and is_known:  # no other is executed before it is allowed, not even to look at the GPUs
            backend.preflight(planned)
    if obstacles.obstacles or planned is None:
        raise _refusal(stored.run, obstacles.obstacles)
    remarks = tuple(_differences(backend, stored.project, pinned, saw_gpus=is_known))
    return Reproduction(stored, planned, has_image, remarks)


def reproduce(
    workspace: Workspace, reproduction: Reproduction, screen: Reporter, allowed: Collection[Permission] = ()
) -> Result:
    """Run it, as a new run that points to the old one. Raises what `launch` raises."""
    consent.check(workspace, reproduction.plan.asked, allowed)  # before an image is pulled or built
    for remark in reproduction.remarks:
        screen.remark(remark)
    planned, stored = reproduction.plan, reproduction.stored
    if not reproduction.has_image:
        backend = registry.named(planned.backend, workspace)
        planned = replace(planned, image_id=_had_again(backend, planned.image, stored.pins, screen))
    uri, experiment = stored.client.server.uri, stored.run.experiment_id
    return launch(workspace, planned, screen, tracking_uri=uri, experiment_id=experiment, allowed=allowed)


def compare(stored: FetchedRun, result: Result, allowed: Tolerances) -> tuple[Compared, ...]:
    """The metrics of both runs; the new run gets the verdict as a tag."""
    compared = tolerance.judge(stored.run.metrics, result.run.metrics, allowed)
    verdicts = {metric.verdict for metric in compared}
    verdict = (
        "no" if "differs" in verdicts else "within tolerance" if "within tolerance" in verdicts else "exactly"
    )
    if result.error:
        verdict = "no"
    elif tolerance.is_nothing(compared):
        verdict = "nothing to compare"
    with contextlib.suppress(TrackingError):
        stored.client.set_tags(result.run.id, {run_tags.REPRODUCED: verdict})
    return compared


def _plan(workspace: Workspace, stored: FetchedRun, image: RunImage) -> RunPlan:
    pinned = stored.pins
    masked = [name for name, parameter in pinned.parameters.items() if MASK.decode() in parameter.value]
    if masked:
        raise InvalidInput(
            f"The value of the parameter {masked[0]} held a secret, which was not recorded.",
            "Start a new run with it: trainer run PROJECT",
        )
    git = pinned.git
    in_code = {
        name: parameter_record.in_code
        for name, parameter_record in pinned.parameters.items()
        if parameter_record.in_code
    }
    docker_env.check_again(stored.project.volumes, stored.run.name)
    content = consent.content(
        pinned.code_digest, shlex.join(pinned.command.run), pinned.image.tag, pinned.image.id
    )
    planned = plan.make(
        workspace,
        RunRequest(
            project=stored.project,
            source=pinned.source,
            commit=git.commit if git else "",
            entry_point=pinned.entry_point,
            parameters={
                name: str(stored.code / parameter.in_code) if parameter.in_code else parameter.value
                for name, parameter in pinned.parameters.items()
            },
            experiment=pinned.experiment,
            run_name=f"{stored.run.name}-again",
            backend=registry.target(pinned.backend),
            gpus=pinned.resources.gpus,
            cpus=pinned.resources.cpus,
            memory=pinned.resources.memory,
            read_only=pinned.resources.read_only,
            seed=pinned.seed,
            deterministic=pinned.deterministic,
            keep_files=pinned.keep_files,
            warm_start=pinned.warm_start,
            recorded_image=image,
            stored=consent.StoredRun(stored.run.id, content),
            again=Rerun(
                stored.run.id,
                Commit(git.commit, git.dirty, git.branch, git.remote) if git else None,
                {name: parameter.origin for name, parameter in pinned.parameters.items()},
                in_code,
            ),
        ),
    )
    values = {name: parameter.value for name, parameter in pinned.parameters.items()}
    command = planned.command
    for name, path in in_code.items():  # without a container it has the folder's name
        command = tuple(word.replace(str(stored.code / path), values[name]) for word in command)
    if command != pinned.command.run:
        raise InvalidInput(
            f"The run's command cannot be reconstructed from its record: {' '.join(pinned.command.run)}",
            "It was run by another trainer, or a secret was in it. Start a new run: trainer run PROJECT",
        )
    resources = pinned.resources
    return replace(
        planned,
        inputs=replace(planned.inputs, parameters=values),
        resources=replace(
            planned.resources, shared_memory=resources.shared_memory, pids_limit=resources.pids_limit
        ),
    )


def _is_here(backend: Backend, image: RunImage, pinned: RunRecord) -> bool:
    """Whether the image is here. Raises `ImageError` where it is not and cannot be had in any way."""
    try:
        backend.recall(image, pinned.image.id)
    except ImageError:
        if not _ways(image, pinned):
            raise
        return False
    return True


def _ways(image: RunImage, pinned: RunRecord) -> tuple[str, ...]:
    ways = (("pulled", bool(pinned.image.repo_digests)), ("built from its lock", image.can_be_built))
    return tuple(way for way, is_open in ways if is_open)


def _had_again(backend: Backend, image: RunImage, pinned: RunRecord, screen: Reporter) -> str:
    """Pull or build the image that is gone; returns its identity."""
    if pinned.image.repo_digests:
        screen.step(f"Pulling the image {pinned.image.tag}")
        try:
            backend.recall(image, pinned.image.id, pinned.image.repo_digests)
        except ImageError:
            if not image.can_be_built:
                raise
        else:
            return pinned.image.id
    screen.remark(f"The image {pinned.image.tag} is gone; rebuilding it from the recorded lock file.")
    screen.step(f"Building the image {image.tag}")
    built = backend.prepare(image, screen)
    if built != pinned.image.id:
        screen.remark(_rebuilt(pinned, built, backend.origin(built).base_image_id))
    return built


def _asks(
    workspace: Workspace, backend: Backend, image: RunImage, pinned: RunRecord, *, has_image: bool
) -> Iterator[Permission]:
    """What it asks for with its image: run.json may be a stranger's, and name any."""
    recorded_as = pinned.image
    if has_image:
        if not backend.is_named(image, recorded_as.id):
            yield from consent.of_image(image.tag, recorded_as.id)
        return
    if recorded_as.repo_digests:
        yield from consent.of_image(image.tag, recorded_as.id, recorded_as.repo_digests)
    if not image.is_known(workspace):
        yield Permission(f"build an image from the recipe that is stored with it, sha256:{image.digest}")


def _differences(backend: Backend, project: Project, pinned: RunRecord, *, saw_gpus: bool) -> Iterator[str]:
    """What is not the same on this machine, and can change the last digits of a result."""
    then, now = pinned.host, backend.hardware()
    sides = [(then.processors, now.processors)]
    if saw_gpus:
        sides.append((", ".join(then.gpus), ", ".join(now.gpus)))
    for before, after in sides:
        if before != after:
            yield f"The run had {before or 'no GPU'}, this machine has {after or 'no GPU'}: {_UNEQUAL}"
    if pinned.trainer != version("trainer"):
        yield f"The run was made by trainer {pinned.trainer}; this is {version('trainer')}."
    for volume in project.volumes:
        yield f"What the volume {volume} holds cannot be verified."
    for name, parameter in pinned.parameters.items():
        if "://" in parameter.value:
            yield f"What --{name.replace('_', '-')} names, {parameter.value}, cannot be verified."


def _rebuilt(pinned: RunRecord, image_id: str, base_id: str) -> str:
    why = (
        f"its base {pinned.image.base_image} is another one now"
        if base_id != pinned.image.base_image_id
        else "its packages are the recorded ones, its files' times are not"
    )
    return f"Warning: the image was {pinned.image.id} and is {image_id} now: {why}."


def _refusal(run: Run, obstacles: list[TrainerError]) -> TrainerError:
    if len(obstacles) == 1:
        return obstacles[0]
    return CheckFailed(
        f"The run {run.name} cannot be reproduced: " + " ".join(obstacle.message for obstacle in obstacles),
        " ".join(obstacle.hint for obstacle in obstacles),
    )
