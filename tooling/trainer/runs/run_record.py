"""What pins a run: all that it is made of, written down before it starts.

It is stored as the artifact trainer/run.json; docs/run-record.md says what each field means. The tags of the
run, which a server can be asked for, say the most important of it again.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version

from trainer.datasets.inputs import Data
from trainer.errors import InvalidInput
from trainer.host import user
from trainer.host.hardware import Hardware
from trainer.images.build import ImageOrigin
from trainer.plan.parameter_values import Origin
from trainer.plan.run_plan import Resources, RunPlan
from trainer.plan.warm_start import WarmStart
from trainer.source import snapshot
from trainer.source.snapshot import Commit
from trainer.tracking import run_tags
from trainer.tracking.client import Run

ARTIFACT = "trainer/run.json"
SCHEMA = 1
# A registry's host may have a port, its repository no tag: a pull by a digest tags nothing.
_REPO_DIGEST = re.compile(r"([\w.-]+(:\d+)?/)?\w[\w./-]*@sha256:[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class Parameter:
    """A value that the entry point was given."""

    value: str
    type: str
    origin: Origin
    in_code: str | None = None
    """Of a path to a file of the code: where it is there."""


@dataclass(frozen=True)
class Command:
    """The entry point's command: as its MLproject declares it, and as it was run."""

    declared: str
    run: tuple[str, ...]


@dataclass(frozen=True)
class Image:
    """What the run is executed in. Of the local backend, an environment made from the same lock."""

    name: str
    tag: str
    id: str
    repo_digests: tuple[str, ...]
    digest: str
    """Of everything that it is built from."""
    requirements_digest: str
    """Of its lock file."""
    base_image: str
    base_image_id: str
    base_image_digest: str


@dataclass(frozen=True)
class Git:
    """Where the project's folder stands in git."""

    remote: str
    commit: str
    branch: str
    dirty: bool


@dataclass(frozen=True)
class RunRecord:
    """All that pins a run. Of secrets only their names."""

    schema: int
    trainer: str
    user: str
    project: str
    source: str
    entry_point: str
    experiment: str
    command: Command
    parameters: Mapping[str, Parameter]
    seed: int | None
    deterministic: bool
    environment: Mapping[str, str]
    secrets: tuple[str, ...]
    image: Image
    backend: str
    resources: Resources
    host: Hardware
    code_digest: str
    git: Git | None
    data: tuple[Data, ...]
    reproduces: str | None = None
    """The id of the run that this one makes again."""
    keep_files: bool = False
    """Whether files that it leaves in its folder and does not log become artifacts."""
    warm_start: WarmStart | None = None
    """The run whose model this one trains further."""


def commit(plan: RunPlan) -> Commit | None:
    """Where the code of a run of this plan stands in git; of a run that is made again, where it stood."""
    return plan.code.again.commit if plan.code.again else snapshot.commit(plan.code.folder)


def of(
    plan: RunPlan,
    origin: ImageOrigin,
    host: Hardware,
    data: tuple[Data, ...],
    code_digest: str,
    at: Commit | None,
) -> RunRecord:
    """What pins a run of this plan, whose code is `at` a commit of git."""
    types = {parameter.name: parameter.type for parameter in plan.code.declared.parameters}
    return RunRecord(
        schema=SCHEMA,
        trainer=version("trainer"),
        user=user.name(),
        project=plan.code.project,
        source=plan.code.source,
        entry_point=plan.code.entry_point,
        experiment=plan.tracking.experiment,
        command=Command(plan.code.declared.command, plan.command),
        parameters={
            name: Parameter(
                value,
                types.get(name, "string"),
                plan.inputs.origins.get(name, "default"),
                plan.inputs.in_code.get(name),
            )
            for name, value in plan.inputs.parameters.items()
        },
        seed=plan.environment.seed,
        deterministic=plan.environment.deterministic,
        environment=plan.environment.variables,
        secrets=plan.environment.secret_names,
        image=Image(
            name=plan.image.name,
            tag=plan.image.tag,
            id=origin.id,
            repo_digests=origin.repo_digests,
            digest=plan.image.digest,
            requirements_digest=plan.image.requirements_digest,
            base_image=plan.image.root_base or origin.base_image,
            base_image_id=origin.base_image_id,
            base_image_digest=origin.base_image_digest,
        ),
        backend=plan.backend,
        resources=plan.resources,
        host=host,
        code_digest=code_digest,
        git=Git(at.remote, at.id, at.branch, at.dirty) if at else None,
        data=data,
        reproduces=plan.code.again.run_id if plan.code.again else None,
        keep_files=plan.tracking.keep_files,
        warm_start=plan.inputs.warm_start,
    )


def tags(record: RunRecord) -> dict[str, str]:
    """The tags of a new run: MLflow's own that its UI knows, and what pins the run."""
    run_tags_ = {
        run_tags.USER: record.user,
        run_tags.SOURCE_TYPE: "PROJECT",
        run_tags.SOURCE_NAME: record.source,
        run_tags.ENTRY_POINT: record.entry_point,
        run_tags.PROJECT_BACKEND: f"trainer-{record.backend}",
        run_tags.VERSION: record.trainer,
        run_tags.BACKEND: record.backend,
        run_tags.COMMAND: shlex.join(record.command.run),
        run_tags.IMAGE: record.image.tag,
        run_tags.IMAGE_ID: record.image.id,
        run_tags.CODE_DIGEST: record.code_digest,
        run_tags.GPUS: record.resources.gpus,
        run_tags.MEMORY: record.resources.memory or "unlimited",
        run_tags.DETERMINISTIC: str(record.deterministic).lower(),
    }
    if record.image.digest:  # of one that somebody else built only the id is known
        run_tags_[run_tags.IMAGE_DIGEST] = record.image.digest
        run_tags_[run_tags.REQUIREMENTS_DIGEST] = record.image.requirements_digest
    if record.resources.cpus is not None:
        run_tags_[run_tags.CPUS] = str(record.resources.cpus)
    if record.seed is not None:
        run_tags_[run_tags.SEED] = str(record.seed)
    if record.git:
        run_tags_ |= {
            run_tags.GIT_COMMIT: record.git.commit,
            run_tags.GIT_BRANCH: record.git.branch,
            run_tags.GIT_DIRTY: str(record.git.dirty).lower(),
        }
        if record.git.remote:
            run_tags_[run_tags.GIT_REPOSITORY] = record.git.remote
    if record.reproduces:
        run_tags_[run_tags.REPRODUCES] = record.reproduces
    if record.warm_start:
        run_tags_[run_tags.WARM_START] = record.warm_start.run_id
    if record.keep_files:
        run_tags_[run_tags.KEEP_FILES] = "true"
    return run_tags_ | {data.tag: data.digest for data in record.data if data.is_dataset}


def as_json(record: RunRecord) -> dict[str, object]:
    """In JSON's types."""
    return asdict(record)


def read(text: bytes, run: Run) -> RunRecord:
    """What was stored with the run. Raises `InvalidInput` for what this trainer does not understand."""
    from pydantic import TypeAdapter, ValidationError

    try:
        payload = json.loads(text)
        schema = payload.get("schema", 0)
        if schema > SCHEMA:
            raise _not_understood(run, f"it has the schema {schema}, this trainer knows up to {SCHEMA}")
        pinned = TypeAdapter(RunRecord).validate_json(text)
        if "keep_files" not in payload:  # earlier versions have it as a tag alone
            pinned = replace(pinned, keep_files=run.tags.get(run_tags.KEEP_FILES) == "true")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _not_understood(run, f"{where}: {first['msg']}") from None
    except (ValueError, TypeError, AttributeError):
        raise _not_understood(run, "this is no JSON of it") from None
    if pinned.warm_start and not pinned.warm_start.is_valid:
        raise _not_understood(run, f"warm_start: {pinned.warm_start.uri!r} is no model of a run")
    for name in pinned.image.repo_digests:
        if not _REPO_DIGEST.fullmatch(name):
            raise _not_understood(run, f"image.repo_digests: {name!r} is no NAME@sha256:DIGEST")
    return pinned


def _not_understood(run: Run, why: str) -> InvalidInput:
    return InvalidInput(
        f"The {ARTIFACT} of the run {run.name} is invalid: {why}.",
        f"It was damaged, or written by another trainer; this is {version('trainer')}.",
    )
