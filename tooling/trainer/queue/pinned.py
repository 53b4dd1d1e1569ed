"""What an entry will run, written down when it is queued: the plan, the code and the image of that moment.

Whatever becomes of the project, of its settings or of its image's recipe meanwhile, the run is made of this.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import archives, atomic_files
from trainer.errors import ImageError, InvalidInput
from trainer.plan.consent import RequestedPermissions
from trainer.plan.run_plan import (
    Code,
    Environment,
    Inputs,
    Resources,
    RunPlan,
    Tracking,
)
from trainer.progress import Steps
from trainer.projects.mlproject import EntryPoint
from trainer.projects.parameters import Parameter
from trainer.queue.folder import EntryFolder
from trainer.runs.launch.prepare import PackedCode
from trainer.source.snapshot import Commit
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

SCHEMA = 1


@dataclass(frozen=True)
class QueuedImage:
    """An image as it was when it was queued: it is there by its identity, and not built or pulled again."""

    name: str
    tag: str
    digest: str
    requirements_digest: str
    base_image: str
    root_base: str
    has_trainkit: bool
    has_cache: bool
    has_cuda: bool
    has_entrypoint: bool
    has_environment: bool
    wants_gpus: bool
    is_of_project: bool
    archive: Path | None = None
    """Of what it was built from."""
    remarks: tuple[str, ...] = ()
    can_be_built: bool = False

    def is_known(self, workspace: Workspace) -> bool:  # noqa: ARG002 (it is there)
        """It was built here."""
        return True

    def packed(self, workspace: Workspace) -> Path | None:  # noqa: ARG002 (the entry has it)
        """The archive of what it was built from."""
        return self.archive

    def ensure(self, workspace: Workspace, client: docker.DockerClient, steps: Steps) -> str:  # noqa: ARG002
        """It is not built again."""
        raise gone(self.tag)

    def environment(self, folder: Path, source: Path, uv: str) -> list[list[str]]:  # noqa: ARG002
        """None is made again."""
        raise gone(self.tag)


@dataclass(frozen=True)
class _Pinned:
    """A `RunPlan` as it is written down. The code's entry point is apart: it may hold what is no data."""

    schema: int
    project: str
    source: str
    folder: Path
    entry_point: str
    command_declared: str
    parameters: tuple[Parameter, ...]
    takes_any: bool
    code_digest: str
    commit: Commit | None
    backend: str
    command: tuple[str, ...]
    inputs: Inputs
    environment: Environment
    resources: Resources
    tracking: Tracking
    asked: RequestedPermissions
    image_id: str
    image: QueuedImage


def write(workspace: Workspace, folder: EntryFolder, plan: RunPlan, code: PackedCode, image_id: str) -> None:
    """Write the plan into the entry's folder, which has the archive of its code already."""
    declared, image = plan.code.declared, plan.image
    if packed := image.packed(workspace):
        shutil.copyfile(packed, folder.image)
    pinned = _Pinned(
        schema=SCHEMA,
        project=plan.code.project,
        source=plan.code.source,
        folder=plan.code.folder,
        entry_point=plan.code.entry_point,
        command_declared=declared.command,
        parameters=declared.parameters,
        takes_any=declared.takes_any,
        code_digest=code.digest,
        commit=code.commit,
        backend=plan.backend,
        command=plan.command,
        inputs=plan.inputs,
        environment=plan.environment,
        resources=plan.resources,
        tracking=plan.tracking,
        asked=plan.asked,
        image_id=image_id,
        image=QueuedImage(
            name=image.name,
            tag=image.tag,
            digest=image.digest,
            requirements_digest=image.requirements_digest,
            base_image=image.base_image,
            root_base=image.root_base,
            has_trainkit=image.has_trainkit,
            has_cache=image.has_cache,
            has_cuda=image.has_cuda,
            has_entrypoint=image.has_entrypoint,
            has_environment=image.has_environment,
            wants_gpus=image.wants_gpus,
            is_of_project=image.is_of_project,
        ),
    )
    atomic_files.write(folder.plan, json.dumps(asdict(pinned), default=_plain).encode())


def read(folder: EntryFolder) -> tuple[RunPlan, PackedCode]:
    """The plan of the entry, and its code. Files of its code that its parameters name are unpacked beside it.

    Raises `InvalidInput` for what this version of trainer does not understand.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        text = folder.plan.read_bytes()
        if json.loads(text)["schema"] > SCHEMA:
            raise _damaged(folder, "it was written by a newer version of trainer")
        pinned = TypeAdapter(_Pinned).validate_json(text)
    except ValidationError as error:
        raise _damaged(folder, str(error.errors()[0]["msg"])) from None
    except (OSError, ValueError, LookupError, TypeError):
        raise _damaged(folder, "this is no plan") from None
    declared = EntryPoint(pinned.entry_point, pinned.command_declared, pinned.parameters, pinned.takes_any)
    moved = _moved(folder, pinned)
    plan = RunPlan(
        code=Code(pinned.project, pinned.source, pinned.folder, pinned.entry_point, declared),
        backend=pinned.backend,
        image=replace(pinned.image, archive=folder.image if folder.image.exists() else None),
        command=tuple(_replaced(word, moved) for word in pinned.command),
        inputs=replace(
            pinned.inputs,
            mounts=tuple(
                replace(mount, source=moved.get(mount.source, mount.source)) for mount in pinned.inputs.mounts
            ),
        ),
        environment=pinned.environment,
        resources=pinned.resources,
        tracking=pinned.tracking,
        asked=pinned.asked,
        image_id=pinned.image_id,
    )
    back = {now: before for before, now in moved.items()}
    return plan, PackedCode(folder.source, pinned.code_digest, pinned.commit, back)


def _moved(folder: EntryFolder, pinned: _Pinned) -> Mapping[str, str]:
    """Of the files of the code that parameters name: where they were, and where they are now."""
    if not pinned.inputs.in_code:
        return {}
    if not folder.code.exists():
        with tarfile.open(folder.source) as archive:
            archives.unpack(archive, folder.path)
    home = pinned.folder.resolve()
    return {str(home / path): str(folder.code / path) for path in pinned.inputs.in_code.values()}


def _replaced(word: str, moved: Mapping[str, str]) -> str:
    """A word of the command: without a container it has the path itself."""
    for before, now in moved.items():
        word = word.replace(before, now)
    return word


def gone(tag: str) -> ImageError:
    """The image that an entry was queued with is not here any more."""
    return ImageError(
        f"The image {tag} is not here any more as it was when the run was queued.",
        "Cancel the entry, and queue it again: it is built or pulled then.",
    )


def _damaged(folder: EntryFolder, why: str) -> InvalidInput:
    return InvalidInput(f"{folder.plan} is invalid: {why}.", "Cancel the entry, and queue it again.")


def _plain(value: object) -> object:
    if isinstance(value, Path | frozenset):
        return str(value) if isinstance(value, Path) else sorted(value)
    raise TypeError(f"{value!r} is not written down")
