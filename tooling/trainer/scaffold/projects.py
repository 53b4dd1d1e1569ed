"""A new project: a template or another project, copied under a name of its own."""

from __future__ import annotations

import re
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer import archives, atomic_files
from trainer.datasets import Report, silent
from trainer.datasets.build import building
from trainer.datasets.names import folded
from trainer.datasets.synthetic.sample import Sample
from trainer.errors import InvalidInput
from trainer.images import spec
from trainer.projects import mlproject as projects
from trainer.projects.mlproject import PROJECT_FILE
from trainer.scaffold import templates
from trainer.source import snapshot
from trainer.workspace import unfinished
from trainer.workspace.settings import Workspace

# What a template's README.md, and the name of its test, say where the project's name belongs.
_PLACEHOLDER = "PROJECT"


@dataclass(frozen=True)
class Plan:
    """What making a project comes to."""

    target: Path
    origin: Path
    files: tuple[str, ...]
    """As they are called in the new project."""
    is_template: bool
    samples: tuple[Path, ...] = ()
    """Datasets that are to be made up, because the project's defaults name them and they are not there."""

    @property
    def name(self) -> str:
        """The new project's."""
        return self.target.name


def plan(workspace: Workspace, name: str, origin: Path) -> Plan:
    """Check the name and what is copied. Raises `InvalidInput`; makes nothing."""
    target = workspace.projects / name
    _check_name(workspace, name, target)
    names = [path.as_posix() for path in snapshot.files(origin)]
    if PROJECT_FILE not in names:
        raise InvalidInput(
            f"{origin} has no file {PROJECT_FILE}, or git ignores it.",
            "`trainer run` runs such a folder as it is. Or start from --template minimal.",
        )
    project = projects.load(origin)
    is_template = origin.parent == templates.FOLDER
    test, own_test = _tests(project.name, is_template, name)
    return Plan(
        target=target,
        origin=origin,
        files=tuple(sorted(own_test if path == test else path for path in names)),
        is_template=is_template,
        samples=tuple(_missing_data(workspace, project)) if is_template else (),
    )


def make(planned: Plan, report: Report = silent) -> None:
    """Make the project, wholly or not at all; raises `InvalidInput` where that cannot be.

    The datasets come first: if that is stopped, the same call goes on with it.
    """
    for sample in planned.samples:
        Sample().make(sample, report)
    planned.target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=unfinished.PROJECT, dir=planned.target.parent) as folder_name:
        folder = _copy(planned.origin, Path(folder_name))
        _rename(folder, planned)
        try:
            atomic_files.rename(folder, planned.target)
        except FileExistsError:
            raise _in_the_way(planned.target) from None


def _check_name(workspace: Workspace, name: str, target: Path) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise InvalidInput(
            f"{name!r} cannot be a project's name.",
            "Use letters, digits, _ and -, a letter or digit first.",
        )
    for image in spec.discover(workspace).values():
        if name in (image.name, *image.aliases):
            raise InvalidInput(
                f"{name} is the name of a trainer image.",
                f"Choose another one, such as my_{name}.",
            )
    for neighbour in target.parent.iterdir() if target.parent.is_dir() else ():
        if folded(neighbour.name) == folded(name):
            raise _in_the_way(neighbour)


def _in_the_way(path: Path) -> InvalidInput:
    return InvalidInput(f"{path} exists already.", "Choose another name; nothing is overwritten.")


def _tests(original: str, is_template: bool, name: str) -> tuple[str, str]:
    """The test's file as it is called in the original and in the copy: pytest wants all names different."""
    return f"test_{_PLACEHOLDER if is_template else original}.py", f"test_{name}.py"


def _missing_data(workspace: Workspace, project: projects.Project) -> Iterator[Path]:
    for parameter in (each for entry in project.entry_points for each in entry.parameters):
        path = workspace.data / (parameter.default or "")
        if parameter.default and parameter.names_data(parameter.default) and not path.exists():
            building.check(path, Sample().plan())
            yield path


def _copy(origin: Path, target: Path) -> Path:
    """What a run would get of the project: without what git ignores, with what it shares with others."""
    snapshot.pack(origin, target / "code.tar.gz")
    now = int(time.time())  # the archive has no times
    with tarfile.open(target / "code.tar.gz") as archive:
        for member in archive.getmembers():
            member.mtime = now
        archives.unpack(archive, target)
    return target / "code"


def _rename(folder: Path, planned: Plan) -> None:
    mlproject, readme = folder / PROJECT_FILE, folder / "README.md"
    project_before = projects.load(folder).name
    line = f"name: {planned.name}"
    text, count = re.subn(
        r"^name\s*:.*$", line, mlproject.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE
    )
    mlproject.write_text(text if count else f"{line}\n{text}", encoding="utf-8")
    try:
        is_named = projects.load(folder).name == planned.name
    except InvalidInput:
        is_named = False
    if not is_named:
        raise InvalidInput(
            f"{planned.origin / PROJECT_FILE} has its name in a form that cannot be changed.",
            "Write `name: …` on a line of its own.",
        )
    test, own_test = _tests(project_before, planned.is_template, planned.name)
    if (folder / test).exists() and not (folder / own_test).exists():
        (folder / test).rename(folder / own_test)
    for file in (readme, folder / own_test):
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8")
        if planned.is_template and file is readme:
            text = text.replace(_PLACEHOLDER, planned.name)
        elif not planned.is_template:
            # Where it is sure to be the project's name, and not a word of the text.
            old = "|".join(map(re.escape, {planned.origin.name, project_before}))
            places = rf"(^# |trainer (?:run|layers) |train_code/)(?:{old})(?![\w-])"
            text = re.sub(places, lambda match: match[1] + planned.name, text, flags=re.MULTILINE)
        file.write_text(text, encoding="utf-8")
