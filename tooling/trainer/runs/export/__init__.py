"""A folder with which anyone who has Docker can make a run again: without trainer or a server."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

from trainkit import run_environment

from trainer import atomic_files
from trainer.counted import counted
from trainer.datasets import recorded
from trainer.datasets.contents import Files
from trainer.datasets.inputs import Data
from trainer.datasets.listing import ITSELF
from trainer.errors import InvalidInput
from trainer.host import cores
from trainer.images.trainer_image import TrainerImage
from trainer.projects import mlproject
from trainer.runs import run_record, stored_run
from trainer.runs.run_record import RunRecord
from trainer.runs.stored_run import FetchedRun
from trainer.tracking.metrics import is_time
from trainer.workspace.settings import Workspace

_CHECKSUMS = "data.sha256"
_SEEN = {
    run_environment.DATA_DIR: run_environment.DATA,
    run_environment.CACHE_DIR: run_environment.CACHE,
    "MPLCONFIGDIR": f"{run_environment.CACHE}/matplotlib",
    "HOME": "/out/home",
    "MLFLOW_TRACKING_URI": "file:///out/mlruns",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
_MOUNTS = {
    "$here/code": "/source:ro",
    "$here/data": f"{run_environment.DATA}:ro",
    "$here/inputs": f"{run_environment.INPUTS}:ro",
    "$out/cache": run_environment.CACHE,
    "$out": "/out",
}


@dataclass(frozen=True)
class Export:
    """What was written. `missing`: what of its data has to be put into the folder by hand."""

    place: Path
    missing: tuple[str, ...]


def write(
    workspace: Workspace, stored: FetchedRun, folder: Path, step: Callable[[str], None],
    *, with_data: bool = False, dry_run: bool = False,
) -> Export:  # fmt: skip
    """Write the folder, wholly or not at all. Raises `InvalidInput` where it is there, or the run has too
    little.

    `with_data` copies what the run was given, after comparing it with what was recorded.
    """
    if folder.exists():
        raise InvalidInput(f"{folder} already exists.", "Nothing is overwritten: name another folder.")
    if not folder.absolute().parent.is_dir():
        raise InvalidInput(f"{folder.absolute().parent} is not a folder.", "Make it first.")
    image = stored_run.built_from(workspace, stored)
    if image is None:
        raise InvalidInput(
            f"The image {stored.pins.image.tag} of the run was not built by trainer.",
            "Export its image yourself (docker save), with the run's code: trainer show",
        )
    export = Export(folder, () if with_data else tuple(_where(data) for data in stored.pins.data))
    if with_data:
        for data in stored.pins.data:
            step(f"Comparing {data.name} with what the run had")
            recorded.verify(workspace, data.parameter, data.name, data.digest)
    if dry_run:
        return export
    unfinished = atomic_files.beside(folder.absolute())
    try:
        unfinished.mkdir()
        _fill(workspace, stored, image, unfinished)
        for data in stored.pins.data if with_data else ():
            step(f"Copying {data.name}")
            _copy(workspace.data / data.name, unfinished / _where(data))
        atomic_files.rename(unfinished, folder.absolute())
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be written: {error.strerror}.", "Specify another folder."
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return export


def _where(data: Data) -> str:
    """Where it is to be in the folder."""
    name = data.name if data.is_dataset else Path(data.name).name
    return f"data/{name}" if data.is_dataset else f"inputs/{data.parameter}/{name}"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _fill(workspace: Workspace, stored: FetchedRun, image: TrainerImage, folder: Path) -> None:
    shutil.copytree(stored.code, folder / "code", symlinks=True)
    shutil.copytree(stored.folder / "trainer_images", folder / "trainer_images")
    for name in ("data", "inputs"):
        (folder / name).mkdir()
    (folder / "run.json").write_text(json.dumps(run_record.as_json(stored.pins), indent=2))
    metrics = {name: value for name, value in stored.run.metrics.items() if not name.startswith("system/")}
    expected = {
        "metrics": {name: repr(value) for name, value in sorted(metrics.items())},
        "not_compared": sorted(filter(is_time, metrics)),
    }
    (folder / "metrics.json").write_text(json.dumps(expected, indent=2))
    checksums = list(_checksums(workspace, stored))
    if checksums:
        (folder / _CHECKSUMS).write_text("".join(f"{line}\n" for line in checksums), encoding="utf-8")
    fields = _fields(stored, image, has_checksums=bool(checksums))
    for name in ("run.sh", "README.md", "compare.py"):
        text = resources.files(__package__).joinpath("files", name).read_text(encoding="utf-8")
        for field, value in fields.items():
            text = text.replace(f"@{field}@", value)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "run.sh").chmod(0o755)


def _fields(stored: FetchedRun, image: TrainerImage, *, has_checksums: bool) -> dict[str, str]:
    """What stands in the templates for `@NAME@`."""
    pinned = stored.pins
    return {
        "name": stored.run.name,
        "id": stored.run.id,
        "project": pinned.project,
        "trainer": pinned.trainer,
        "base": shlex.quote(pinned.image.base_image_digest or pinned.image.base_image),
        "image": shlex.quote(image.tag),
        "build": "\n".join(_build(image)),
        "check": _CHECK.replace("@image@", shlex.quote(image.tag)) if has_checksums else "",
        "options": "\n".join(f"  {option} \\" for option in _options(stored)),
        "command": shlex.join(_command(stored)),
        "secrets": "".join(f': "${{{name}:?is not set}}"\n' for name in pinned.secrets),
        "notes": "\n\n".join(_notes(pinned)),
    }


def _notes(pinned: RunRecord) -> Iterator[str]:
    for data in pinned.data:
        description = f"`{_where(data)}`: {counted(data.files, 'file')}, digest {data.digest[:8]}"
        yield f"It was given {description}. If it is not there, put it there."
    if pinned.secrets:
        yield f"It needs the variables {', '.join(pinned.secrets)}: set them before."
    if pinned.resources.gpus != "none":
        yield "It takes a GPU and NVIDIA's container toolkit."
    base = pinned.image.base_image
    yield f"The image was built on {base}; `BASE_IMAGE=NAME ./run.sh` builds it on another one."
    machine = ", ".join([pinned.host.processors, *pinned.host.gpus])
    yield f"Numbers are equal to the last digit on the same kind of machine; the run had {machine}."


_CHECK = f"""
# The data is compared file by file, by the image's own sha256sum.
docker run --rm --user "$(id -u):$(id -g)" -v "$here:/export:ro" --workdir /export @image@ \\
  sha256sum --check --quiet {_CHECKSUMS}
"""


def _build(image: TrainerImage) -> Iterator[str]:
    for ancestor in image.line():
        base = f"--build-arg=BASE_IMAGE={ancestor.base_image}"
        # What follows `docker buildx build`, but for the folder; a parent is the base of its heirs.
        options = " ".join(
            '--build-arg=BASE_IMAGE="$base"'
            if word == base and ancestor.parent is None
            else shlex.quote(word)
            for word in ancestor.build_command()[3:-1]
        )
        yield f'  docker buildx build {options} "$here/trainer_images"'


def _options(stored: FetchedRun) -> Iterator[str]:
    pinned, resources_ = stored.pins, stored.pins.resources
    yield f"--shm-size {resources_.shared_memory} --pids-limit {resources_.pids_limit}"
    if resources_.memory:
        yield f"--memory {resources_.memory} --memory-swap {resources_.memory}"
    if resources_.cpus:
        yield f"--cpuset-cpus {cores.written(range(resources_.cpus))}"
    if resources_.gpus != "none":
        gpus = f'"{resources_.gpus}"' if "," in resources_.gpus else resources_.gpus
        yield f"--gpus {shlex.quote(gpus)}"
    for name, value in {**pinned.environment, **_SEEN}.items():
        yield f"--env {shlex.quote(f'{name}={value}')}"
    for name in pinned.secrets:
        yield f"--env {name}"
    for source, target in _MOUNTS.items():
        yield f'-v "{source}:{target}"'


def _command(stored: FetchedRun) -> tuple[str, ...]:
    """As it is in a container, where the run's backend was another one too."""
    pinned = stored.pins
    entry_point = mlproject.load(stored.code).entry_point(pinned.entry_point)
    values = {name: parameter.value for name, parameter in pinned.parameters.items()}
    for name, parameter in pinned.parameters.items():
        if parameter.in_code:
            values[name] = parameter.in_code
        elif parameter.type == "path":
            values[name] = f"{run_environment.INPUTS}/{name}/{PurePosixPath(parameter.value).name}"
    return mlproject.command_line(entry_point, values)


def _checksums(workspace: Workspace, stored: FetchedRun) -> Iterator[str]:
    """Lines for `sha256sum --check`, of the data whose files this workspace knows."""
    for data in stored.pins.data:
        files: Files = recorded.files(workspace, data.digest) or {}
        for path, file in files.items():
            name = _where(data) if path == ITSELF else f"{_where(data)}/{path}"
            escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
            yield f"{'' if escaped == name else chr(92)}{file.sha256}  {escaped}"
