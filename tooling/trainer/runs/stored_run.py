"""What was stored with a run, fetched so that the run can be made again."""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from trainer import archives
from trainer.errors import InvalidInput
from trainer.images import spec, trainer_image
from trainer.images.image import RunImage
from trainer.images.trainer_image import TrainerImage
from trainer.plan import run_image
from trainer.projects import mlproject
from trainer.projects.mlproject import Project
from trainer.runs import reconcile, resolve, server, stored_code
from trainer.runs import run_record as pins
from trainer.runs.run_record import RunRecord
from trainer.source import snapshot as code
from trainer.tracking import run_tags
from trainer.tracking.client import Client, Run
from trainer.tracking.failures import NotThere
from trainer.workspace import refusals, run_folders, unfinished
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class FetchedRun:
    """What was stored with a run, unpacked in a folder: `code/` and `trainer_images/`."""

    client: Client
    run: Run
    pins: RunRecord
    folder: Path

    @property
    def code(self) -> Path:
        """The project's folder."""
        return self.folder / "code"

    @property
    def project(self) -> Project:
        """As it was; raises `InvalidInput` where its MLproject is not valid any more."""
        return replace(mlproject.load(self.code), name=self.pins.project)


def ended(workspace: Workspace, record: Record) -> tuple[Client, Run]:
    """The run as its server has it, and the server.

    Raises `InvalidInput` where it goes on on this machine.
    """
    if reconcile.settle_one(workspace, record.run_id):
        record = resolve.resolve(workspace, record.run_id)  # the server may have given it another id
    if run_folders.is_live(workspace, record.run_id):
        short = record.run_id[:8]
        raise InvalidInput(
            f"The run {record.name or record.run_id} has not ended.",
            f"Follow it, or stop it first: trainer attach {short}; trainer stop {short}",
        )
    return server.run_of(workspace, record)


@contextmanager
def fetched(workspace: Workspace, record: Record, step: Callable[[str], None]) -> Iterator[FetchedRun]:
    """Within: what was stored with the run lies in a folder.

    Raises `InvalidInput` where that is not enough.
    """
    step("Looking at the run")
    client, run = ended(workspace, record)
    if run.status in ("RUNNING", "SCHEDULED", "DELETED"):
        raise InvalidInput(
            f"The run {run.name} is {run.status}.", "Only a run that has ended can be reproduced."
        )
    pinned = pins_of(client, run)
    with unfinished.folder(workspace, unfinished.REPRODUCTION) as folder:
        stored = FetchedRun(client, run, pinned, folder)
        step("Fetching its code")
        fetch_code(workspace, stored)
        _unpack(workspace, stored, trainer_image.ARTIFACT, stored.folder / "trainer_images")
        yield stored


@contextmanager
def code_of(workspace: Workspace, record: Record) -> Iterator[Path]:
    """Within: the folder of the project that the run ran, live or ended.

    Raises `InvalidInput` where it is not stored with the run, or not what ran; `TrackingError`.
    """
    client, run = server.run_of(workspace, record)
    with unfinished.folder(workspace, unfinished.REPRODUCTION) as folder:
        stored = FetchedRun(client, run, pins_of(client, run), folder)
        fetch_code(workspace, stored)
        yield stored.code


def pins_of(client: Client, run: Run) -> RunRecord:
    """What pins the run. Raises `InvalidInput` where it has no such artifact of trainer's; no sweep has."""
    if run_tags.SWEEP in run.tags:
        raise InvalidInput(
            f"{run.name} is a sweep: code, image and model are those of its trials.",
            f"Name its best one, {run.id[:8]}/@best, or another one, {run.id[:8]}/N.",
        )
    try:
        payload = b"".join(client.download(run, pins.ARTIFACT))
    except NotThere:
        raise InvalidInput(
            f"The run {run.name} has no artifact {pins.ARTIFACT}, which says what it was made of.",
            "`trainer run` stores it. Runs of an older trainer, or of something else, "
            "can be neither resumed nor reproduced.",
        ) from None
    return pins.read(payload, run)


def fetch_code(workspace: Workspace, stored: FetchedRun) -> None:
    """Unpack the run's code in the folder. Raises `InvalidInput` where it is not there, or not what ran."""
    _unpack(workspace, stored, stored_code.ARTIFACT, stored.folder)
    digest = code.pack(stored.code, Path(os.devnull), paths=code.unpacked(stored.code))
    if digest != stored.pins.code_digest:
        raise InvalidInput(
            f"The code that is stored with the run {stored.run.name} is not what it ran.",
            f"Its artifact {stored_code.ARTIFACT} was replaced or damaged.",
        )


def image_of(workspace: Workspace, stored: FetchedRun) -> RunImage:
    """The image as its stored files describe it, so that it can be built, if the run has any."""
    if built := built_from(workspace, stored):
        return built
    image = stored.pins.image
    specs = run_image.recorded(workspace, image.tag, image.digest, image.requirements_digest)
    if not specs.is_of_project:
        return specs
    # What it is built from is in the project's own folder.
    return run_image.choose(workspace, stored.project, None, image.base_image)


def built_from(workspace: Workspace, stored: FetchedRun) -> TrainerImage | None:
    """The image of trainer_images/ whose files are stored with the run; None where there are none."""
    image = stored.pins.image
    if not (stored.folder / "trainer_images" / image.name).is_dir():
        return None
    stored_workspace = replace(workspace, root=stored.folder)
    planned = trainer_image.plan(stored_workspace, spec.spec(stored_workspace, image.name), image.base_image)
    if planned.requirements_digest != image.requirements_digest:
        raise InvalidInput(
            f"The lock file that is stored with the run {stored.run.name} is not what its image had.",
            f"Its artifact {trainer_image.ARTIFACT} was replaced or damaged.",
        )
    return planned.as_recorded()


def lacks(workspace: Workspace, run: Run, artifact: str) -> InvalidInput:
    """What it means that the run has no such artifact, without which it cannot be made again."""
    command = f"trainer sync {run.id[:8]} --refused"
    is_refused = refusals.describer(workspace)(run.id, run.tags) is not None
    return InvalidInput(
        f"The run {run.name} has no artifact {artifact}.",
        f"The server refused something of it. To send that again, where it ran: {command}"
        if is_refused
        else "It was removed there, or the run never started. Start a new one: trainer run PROJECT",
    )


def _unpack(workspace: Workspace, stored: FetchedRun, artifact: str, folder: Path) -> None:
    packed = stored.folder / "packed"
    try:
        with packed.open("wb") as written:
            for piece in stored.client.download(stored.run, artifact):
                written.write(piece)
    except NotThere:
        if artifact == trainer_image.ARTIFACT:  # an image that was not built from a lock of ours
            return
        raise lacks(workspace, stored.run, artifact) from None
    try:
        with tarfile.open(packed) as archive:
            archives.unpack(archive, folder)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        why = str(error).partition("\n")[0]
        raise InvalidInput(
            f"The artifact {artifact} of the run {stored.run.name} cannot be unpacked: {why}",
            "It was damaged or replaced.",
        ) from None
