"""The versions of the workspace's datasets: taken, listed, compared, verified."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from trainkit.data import image_folder
from trainkit.errors import InputError

from trainer import git, locks, urls
from trainer.counted import counted
from trainer.datasets import Report, catalog, changes, contents, index, listing, manifest, recorded, silent
from trainer.datasets.changes import Changes
from trainer.datasets.contents import Contents, Files
from trainer.datasets.manifest import Manifest, Version
from trainer.datasets.tables import contents as table_contents
from trainer.datasets.tables import files, shape
from trainer.datasets.tables.shape import Shape
from trainer.errors import InvalidInput, TrainerError
from trainer.projects.parameters import nearest
from trainer.workspace.settings import Workspace

NOW = "now"


@dataclass(frozen=True)
class Dataset:
    """A dataset of the workspace: its folder or file (which may be gone), and what is known of it."""

    name: str
    root: Path
    path: Path
    """Of its manifest."""
    manifest: Manifest


@dataclass(frozen=True)
class Snapshot:
    """What a snapshot came to. `ignored`: git would not track the manifest."""

    version: Version
    is_new: bool
    path: Path
    reads: int
    ignored: bool


@dataclass(frozen=True)
class State:
    """How a dataset is: its size, its classes with their images, or its rows, and what changed.

    `changes` is None where there is no version, or where `problem` says why nothing can be said.
    """

    dataset: Dataset
    files: int | None
    bytes: int | None
    classes: dict[str, int]
    changes: Changes | None
    problem: TrainerError | None = None
    table: Shape | None = None

    @property
    def kind(self) -> str:
        """`images` or `table`; nothing for files of another kind."""
        return "images" if self.classes else "table" if files.of(self.dataset.root) else ""

    @property
    def content(self) -> str:
        """Its images and classes, or its rows and columns, in a few words."""
        if self.classes:
            images = counted(sum(self.classes.values()), "image")
            return f"{images}, {counted(len(self.classes), 'class')}"
        return str(self.table or "")

    @property
    def since(self) -> str:
        """What happened since the last version, in a few words."""
        if self.problem:
            return self.problem.message
        return "-" if self.changes is None else str(self.changes or "unchanged")

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        last = self.dataset.manifest.last
        return {
            "name": self.dataset.name,
            "path": str(self.dataset.root),
            "kind": self.kind or None,
            "files": self.files,
            "bytes": self.bytes,
            "classes": self.classes,
            "rows": self.table.rows if self.table else None,
            "columns": list(self.table.columns) if self.table else None,
            "version": last.number if last else None,
            "digest": last.digest if last else None,
            "changes": None if self.changes is None else self.changes.as_json(),
            "problem": self.problem.message if self.problem else None,
        }


@dataclass(frozen=True)
class Difference:
    """What changed from one state to another; `old` and `new` are their names.

    `tables` says of CSV files that changed what of their rows did.
    """

    old: str
    new: str
    changes: Changes
    tables: Mapping[str, str]


def names(workspace: Workspace) -> list[str]:
    """The datasets in data/, and those of which a manifest is there alone; sorted."""
    names_found = set(catalog.datasets(workspace))
    if workspace.data.is_dir():
        names_found |= {
            path.name.removesuffix(catalog.MANIFEST)
            for path in workspace.data.glob(f"*{catalog.MANIFEST}")
            if not path.name.startswith(".")
        }
    return sorted(names_found)


def named(workspace: Workspace, name: str) -> Dataset:
    """A dataset by its name in data/. Raises `InvalidInput`."""
    name = name.rstrip("/")
    if name not in names(workspace):
        names_known = names(workspace)
        raise InvalidInput(
            f"There is no dataset {name} in {workspace.data}.",
            "Only datasets in data/ have versions: move it there, or link it: ln -s FOLDER data/"
            if "/" in name
            else nearest(name, names_known, "There are")
            if names_known
            else catalog.missing(workspace, name),
        )
    path = workspace.data / f"{name}{catalog.MANIFEST}"
    return Dataset(name, workspace.data / name, path, manifest.read(path, name))


def now(workspace: Workspace, dataset: Dataset, report: Report = silent, *, full: bool = False) -> Contents:
    """What the dataset holds. Raises `InvalidInput` where it is gone or cannot be read."""
    if not dataset.root.exists():
        raise InvalidInput(
            f"{dataset.root} is gone; its manifest is all there is.",
            "Put the dataset back, or name two versions to compare.",
        )
    return contents.take(dataset.root, index.place(workspace, dataset.root), report, full=full)


def snapshot(
    workspace: Workspace, name: str, report: Report = silent, *,
    dry_run: bool = False, full: bool = False, source: str | None = None,
) -> Snapshot:  # fmt: skip
    """Make a version of the dataset as it is; where the last version is the same, nothing is written.

    `source` is where others get its files, which the manifest keeps. Raises `InvalidInput`, for a source
    with a password too: git would have it.
    """
    if source and urls.without_password(source) != source:
        raise InvalidInput(
            "--source has a user name or password in it, which git would keep.",
            f"Leave it out: --source {shlex.quote(urls.without_password(source))}",
        )
    with locks.exclusive(workspace.state / "datasets" / "snapshot.lock"):
        dataset = named(workspace, name)
        ignored = git.is_ignored(workspace.data / dataset.path.name)
        taken = now(workspace, dataset, report, full=full)
        if not taken.files:
            raise InvalidInput(f"{dataset.root} has no files.", "Put the dataset there.")
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        version = dataset.manifest.with_version(taken, moment)
        is_new = version is not dataset.manifest
        version = replace(version, source=source) if source else version
        if version != dataset.manifest and not dry_run:
            manifest.write(dataset.path, version)
        if not dry_run:
            table_contents.keep(workspace, dataset.root, taken.files)
    if version.last is None:
        raise RuntimeError("a manifest with a version has a last one")
    return Snapshot(version.last, is_new, dataset.path, taken.reads, ignored)


def state(workspace: Workspace, dataset: Dataset, report: Report = silent) -> State:
    """How the dataset is now. Files are read only where there is a version to compare with."""
    try:
        classes = image_folder.scan(dataset.root).counts()
    except (InputError, OSError):  # a table, or what is no image dataset
        classes = {}
    table = None if classes else shape.of(dataset.root)
    try:
        if dataset.manifest.files is None:
            stamps = listing.files(dataset.root)
            size = sum(stamp.size for stamp in stamps.values())
            return State(dataset, len(stamps), size, classes, None, table=table)
        taken = now(workspace, dataset, report)
    except TrainerError as error:
        return State(dataset, None, None, classes, None, error, table)
    changed = changes.between(dataset.manifest.files, taken.files)
    return State(dataset, len(taken.files), taken.bytes, classes, changed, table=table)


def diff(
    workspace: Workspace, name: str, old: str | None, new: str | None, report: Report = silent
) -> Difference:
    """From the version `old` (or the last) to `new` (or the dataset as it is)."""
    dataset = named(workspace, name)
    before = _version(workspace, dataset, old)
    after = _version(workspace, dataset, new) if new else (NOW, now(workspace, dataset, report).files)
    return _difference(workspace, dataset, before, after)


def verify(
    workspace: Workspace, name: str, version: str | None, report: Report = silent, *, full: bool = False
) -> Difference:
    """What makes the dataset differ from the version (or from the last). With `full`, every file is read."""
    dataset = named(workspace, name)
    before = _version(workspace, dataset, version)
    after = NOW, now(workspace, dataset, report, full=full).files
    return _difference(workspace, dataset, before, after)


def _difference(
    workspace: Workspace, dataset: Dataset, before: tuple[str, Files], after: tuple[str, Files]
) -> Difference:
    changed = changes.between(before[1], after[1])
    tables = dict(table_contents.differences(workspace, dataset.root, changed, after[1]))
    return Difference(before[0], after[0], changed, tables)


def _version(workspace: Workspace, dataset: Dataset, text: str | None) -> tuple[str, Files]:
    """The name and the files of a version; also of what a run had and no snapshot was taken of."""
    last = dataset.manifest.last
    runs = recorded.digests(workspace, text.lower()) if text and len(text) >= manifest.LEAST_PREFIX else []
    is_of_run = text and len(runs) == 1 and not dataset.manifest.with_digest(text.lower())
    if is_of_run and (files := recorded.files(workspace, runs[0])):
        return f"{runs[0][:8]} (of a run)", files
    if last is None:
        raise InvalidInput(
            f"{dataset.name} has no versions yet.", f"Take one: trainer data snapshot {dataset.name}"
        )
    version = dataset.manifest.version(text) if text else last
    return f"version {version.number} ({version.digest[:8]})", dataset.manifest.files_of(version)
