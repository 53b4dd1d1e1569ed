"""What a project asks for of its user's, which a stranger's gets only when its user says so.

A project in the workspace is its user's own: it has what it names, except for what would hand over the
machine or all secrets, which is asked for each time. Any other is a stranger's: of a git URL, of a folder
elsewhere, or stored with a run. What was allowed is remembered by source, commit and the thing that was asked
for, as files in .trainer/allowed/. What is stored with a run may have been replaced: it is remembered by the
run's id and a digest of what is here of it, never by what it says of its source.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from trainer import printable, urls
from trainer.engine import daemon
from trainer.errors import NotAllowed
from trainer.plan.target import Target
from trainer.projects import sources
from trainer.projects.mounts import Mount
from trainer.projects.parameters import is_elsewhere
from trainer.source import snapshot
from trainer.workspace.settings import Workspace

_DOCKER = "/var/run/docker.sock"
_MACHINE = ("/proc", "/sys", "/dev", "/var/lib/docker", "/var/lib/containerd", "/run/containerd")
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of files, in spite of its place


@dataclass(frozen=True)
class Permission:
    """One thing that a project asks for."""

    what: str
    """As in "the project asks to …"."""
    always: bool = False
    """Whether it is never remembered, and asked for even if the project is the user's own."""
    is_given: bool = False
    """Whether the user named it, on the command line or in trainer.yaml."""
    is_within: bool = False
    """Whether it is of the project itself: no question, unless its run is taken up from elsewhere."""
    is_for_all: bool = False
    """Whether it says all that matters, so that it is remembered for every project that asks."""


@dataclass(frozen=True)
class StoredRun:
    """A run that is taken up again or made again, and the digest of what is here of it (`content`)."""

    run_id: str
    content: str


@dataclass(frozen=True)
class RequestedPermissions:
    """All that a project asks for; `source` and `commit` are where it comes from."""

    source: str = ""
    commit: str = ""
    asks: tuple[Permission, ...] = ()
    stored: StoredRun | None = None
    """Of stored code, which says of its source what it likes."""
    is_own: bool = False
    """Whether the project is the user's own."""

    @property
    def wants(self) -> tuple[str, ...]:
        """What its user is asked for, unless it was allowed before."""
        return tuple(ask.what for ask in self.asks if self.is_asked_for(ask))

    def is_asked_for(self, ask: Permission) -> bool:
        """Whether a user is asked for it at all: not for what he named, nor for what is his own."""
        return not (ask.is_given or ask.is_within) and (ask.always or not self.is_own)

    @property
    def title(self) -> str:
        """Who asks, at the beginning of a sentence."""
        return f"The code stored with the run {self.stored.run_id[:8]}" if self.stored else self.source


@dataclass(frozen=True)
class ProjectLocation:
    """Where a project lies."""

    workspace: Workspace
    folder: Path

    @property
    def is_own(self) -> bool:
        """Whether it is the user's own; what is fetched lies in .trainer/."""
        root, state = self.workspace.root, self.workspace.state
        return self.folder.is_relative_to(root) and not self.folder.is_relative_to(state)

    def has(self, path: Path) -> bool:
        """Whether the path is of the project itself."""
        return any(path.is_relative_to(home) for home in self._homes())

    def _homes(self) -> Iterator[Path]:
        state = self.workspace.state
        if self.folder.is_relative_to(state):  # all that was fetched with it
            yield state / self.folder.relative_to(state).parts[0]
        yield self.folder.resolve()


def of_environment(
    location: ProjectLocation,
    target: Target,
    volumes: Iterable[Mount],
    secret_names: Iterable[str],
    variables: Iterable[str] = (),
) -> Iterator[Permission]:
    """What its MLproject and the code beside it ask for, whatever the run's parameters are.

    `variables` are those in the sources of its volumes, which a run can read in its list of mounts.
    """
    for name in secret_names:
        yield Permission(f"have the value of the secret {name}")
    for name in variables:
        yield Permission(f"have the value of your variable {name}")
    if not target.isolated:
        yield Permission("run on this machine without a container, with all your rights")
        return
    for mount in volumes:
        do, where = ("read" if mount.read_only else "read and write"), f"at {mount.target}"
        if mount.kind == "volume":
            yield Permission(printable.line(f"{do} Docker's volume {mount.source}, {where}"))
        else:
            yield from _of_path(location, do, Path(mount.source), where)
    if not location.is_own:
        for path in snapshot.files(location.folder):
            if (location.folder / path).is_symlink():
                snapshot.is_shared(location.folder, path)  # nobody is asked for what is refused anyway
                permissions = _of_path(location, "read", location.folder / path, f"as its file {path}")
                yield from (ask for ask in permissions if not ask.is_within)


def of_paths(
    location: ProjectLocation, target: Target, paths: Mapping[str, str], given_names: Container[str]
) -> Iterator[Permission]:
    """What the values of its parameters of type path ask for; the user named those in `given_names`."""
    for name, value in paths.items() if target.isolated else ():
        why, is_given = f"as its parameter {name}", name in given_names
        if is_elsewhere(value):
            permissions = [
                Permission(printable.line(f"have {urls.without_password(value)} fetched by you, {why}"))
            ]
        else:
            permissions = list(_of_path(location, "read", Path(value), why))
        yield from (replace(ask, is_given=is_given) for ask in permissions)


def of_image(tag: str, image_id: str, repo_digests: Iterable[str] = ()) -> Iterator[Permission]:
    """What a run that is taken up again or made again asks for: the image that it is recorded to have had.

    `repo_digests` are what it is pulled by.
    """
    yield Permission(printable.line(f"run in the image {image_id}, recorded as {tag}"), is_for_all=True)
    for name in repo_digests:
        yield Permission(f"have the image {name} pulled", is_for_all=True)


def open_asks(workspace: Workspace, requested: RequestedPermissions) -> tuple[Permission, ...]:
    """Those that the user has to be asked for now."""
    return tuple(
        ask
        for ask in requested.asks
        if requested.is_asked_for(ask) and (ask.always or not _path_of(workspace, requested, ask).exists())
    )


def check(workspace: Workspace, requested: RequestedPermissions, allowed: Collection[Permission]) -> None:
    """Raises `NotAllowed` for what was allowed neither before nor now; remembers what was."""
    missing = [ask.what for ask in open_asks(workspace, requested) if ask not in allowed]
    if missing:
        raise NotAllowed(
            f"{requested.title} asks to {'; to '.join(missing)}.",
            "If you trust it, allow it with --yes; with mlflow run: --backend-config '{\"yes\": true}'",
        )
    _remember(workspace, replace(requested, asks=tuple(ask for ask in requested.asks if not ask.is_within)))


def content(code_digest: str, command: str, image: str, image_id: str) -> str:
    """The digest of what a run executes: its code, its command as it is recorded, and its image."""
    return hashlib.sha256(json.dumps([code_digest, command, image, image_id]).encode()).hexdigest()


def of_run(workspace: Workspace, requested: RequestedPermissions, run: StoredRun) -> None:
    """Remember that the run had all this, for when it is taken up or made again."""
    _remember(workspace, replace(requested, stored=run))


def _remember(workspace: Workspace, requested: RequestedPermissions) -> None:
    for ask in requested.asks:
        path = _path_of(workspace, requested, ask)
        if not ask.always and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{requested.title} {requested.commit}\n{ask.what}\n")


def _path_of(workspace: Workspace, requested: RequestedPermissions, ask: Permission) -> Path:
    if ask.is_for_all:
        return _file(workspace, [ask.what])
    if requested.stored:
        return _file(workspace, ["run", requested.stored.run_id, requested.stored.content, ask.what])
    # Code in the user's own folders changes all the time; of a repository a commit is looked at.
    commit = requested.commit if sources.is_remote(requested.source) else ""
    return _file(workspace, [requested.source, commit, ask.what])


def _file(workspace: Workspace, facts: list[str]) -> Path:
    return workspace.state / "allowed" / hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _of_path(location: ProjectLocation, do: str, path: Path, why: str) -> Iterator[Permission]:
    end = path.resolve()
    for precious in _precious(location.workspace):
        if _has(end, precious):
            has = "" if precious == end else f", which has {precious}"
            yield Permission(printable.line(f"{do} {end}{has}, {why}"), always=True)
            return
    if any(_has(machine, end) for machine in _of_the_machine()) and not _has(_MEMORY, end):
        yield Permission(printable.line(f"{do} {end}, {why}"), always=True)
        return
    is_data = do == "read" and end.is_relative_to(location.workspace.data.resolve())
    if not is_data:
        yield Permission(printable.line(f"{do} {end}, {why}"), is_within=location.has(end))


def _precious(workspace: Workspace) -> Iterator[Path]:
    """What hands over the machine, or all secrets; so does each folder that it lies in, up to `/`."""
    for address in (_DOCKER, daemon.endpoint().partition("unix://")[2]):
        if address:
            yield Path(address).resolve()
    yield workspace.secrets_file
    yield workspace.secrets_file.resolve()
    yield from _of_the_machine()


def _of_the_machine() -> Iterator[Path]:
    """Where the machine itself, the engine and every process are: so is what lies in them.

    /proc has the root of each process (`PID/root`), /dev the disks, the engine all containers' files.
    """
    for path in (*map(Path, _MACHINE), *Path("/run").glob("docker*")):
        yield path.resolve()


def _has(folder: Path, path: Path) -> bool:
    """Whether the path is the folder or lies in it; a bind mount gives a folder another name."""
    if path.is_relative_to(folder):
        return True
    identity = _identity(folder)
    return identity is not None and any(_identity(parent) == identity for parent in (path, *path.parents))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
