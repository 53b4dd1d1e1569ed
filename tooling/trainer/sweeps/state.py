"""What a sweep keeps on this disk while it is not finished: `.trainer/sweeps/PARENT_ID/`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from trainer import atomic_files, locks
from trainer.errors import FileError, InvalidInput
from trainer.host import living
from trainer.locks import Lock
from trainer.runs.launch.prepare import PackedCode
from trainer.source.snapshot import Commit
from trainer.sweeps.requests import Origin
from trainer.sweeps.search import spec_file
from trainer.sweeps.search.spec import SweepSpec
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class Begun:
    """What every trial of a sweep has, whenever it is made: as it was when the sweep began."""

    tracking_uri: str
    own_server: bool
    backend: str
    origin: Origin
    folder: str
    """Of the project."""
    image_id: str
    code_digest: str
    commit: Commit | None


@dataclass(frozen=True)
class SweepFolder:
    """The folder of a sweep, by the id of its parent run."""

    path: Path

    @property
    def parent_id(self) -> str:
        """The id of the parent run."""
        return self.path.name

    @property
    def spec(self) -> Path:
        """What is searched, and how."""
        return self.path / "sweep.yaml"

    @property
    def study(self) -> Path:
        """Optuna's journal: a cache."""
        return self.path / "study.journal"

    @property
    def archive(self) -> Path:
        """The code of all trials."""
        return self.path / "source.tar.gz"

    @property
    def slots(self) -> Path:
        """The folders of the containers that trials are forked in."""
        return self.path / "slots"

    @property
    def _begun(self) -> Path:
        return self.path / "begun.json"

    def lock(self) -> Lock:
        """Taken by the one process that controls the sweep. Raises `InvalidInput` where there is one."""
        held = locks.acquire(self.path / "lock")
        if held is None:
            raise InvalidInput(
                f"Another process runs the sweep {self.parent_id[:8]}.",
                f"Follow it in its terminal, or stop it first: trainer stop {self.parent_id[:8]}",
            )
        (self.path / "controller").write_text(living.this_process())
        return held

    @property
    def controller(self) -> str:
        """The process that runs the sweep, or did so last: see `host.living`."""
        return (self.path / "controller").read_text()

    @property
    def is_controlled(self) -> bool:
        """Whether a process runs the sweep."""
        return locks.held(self.path / "lock")

    def begun(self) -> Begun:
        """Raises `FileError` where that cannot be read."""
        try:
            payload = json.loads(self._begun.read_bytes())
            commit, origin = payload.pop("commit"), Origin(**payload.pop("origin"))
            return Begun(**payload, origin=origin, commit=Commit(**commit) if commit else None)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise FileError(
                f"What {self.path} holds of its sweep cannot be read: {error}",
                "Its runs are on the tracking server. Start another sweep.",
            ) from None

    def code(self) -> PackedCode:
        """The code of all trials."""
        begun = self.begun()
        return PackedCode(self.archive, begun.code_digest, begun.commit)

    def remove(self) -> None:
        """The sweep is finished: all that is to be known of it is on the tracking server."""
        shutil.rmtree(self.path, ignore_errors=True)


def beginning(workspace: Workspace) -> Lock:
    """Within: no other process of this workspace begins a sweep. Waits for its turn."""
    return locks.exclusive(workspace.state / "sweeps.lock")


def refuse_another(workspace: Workspace, spec: SweepSpec) -> None:
    """Raise `InvalidInput` where the same command has begun a sweep meanwhile."""
    if (earlier := like(workspace, spec)) is None:
        return
    earlier.lock().release()  # raises where a process runs it
    raise InvalidInput(
        f"The same command began the sweep {earlier.parent_id[:8]} meanwhile.",
        f"Go on with it: trainer sweep --resume {earlier.parent_id[:8]}",
    )


def create(
    workspace: Workspace, parent_id: str, spec: SweepSpec, begun: Begun, archive: Path, held: ExitStack
) -> SweepFolder:
    """Make the folder, whole or not at all; its lock is released by `held`."""
    place = _parent(workspace)
    place.mkdir(parents=True, exist_ok=True)
    prepared = SweepFolder(atomic_files.beside(place / parent_id))
    prepared.path.mkdir()
    held.enter_context(prepared.lock())
    prepared._begun.write_text(json.dumps(asdict(begun)))
    spec_file.write(prepared.spec, spec)
    archive.rename(prepared.archive)
    return SweepFolder(prepared.path.rename(place / parent_id))


def unfinished(workspace: Workspace) -> Iterator[SweepFolder]:
    """The sweeps of this workspace that can go on, or do."""
    for path in sorted(_parent(workspace).glob("*/")):
        folder = SweepFolder(path)
        if folder.spec.exists() and not path.name.startswith("."):
            yield folder


def find(workspace: Workspace, text: str) -> SweepFolder | None:
    """The one of those whose parent's id begins so."""
    found = [folder for folder in unfinished(workspace) if folder.parent_id.startswith(text)]
    return found[0] if len(found) == 1 else None


def like(workspace: Workspace, spec: SweepSpec) -> SweepFolder | None:
    """The newest one that was begun with the same command and is not finished."""
    found = [folder for folder in unfinished(workspace) if _is(folder, spec)]
    return max(found, key=lambda folder: folder.spec.stat().st_mtime, default=None)


def _is(folder: SweepFolder, spec: SweepSpec) -> bool:
    try:
        return spec_file.read(folder.spec) == spec
    except InvalidInput:
        return False


def _parent(workspace: Workspace) -> Path:
    return workspace.state / "sweeps"
