"""An image that is built from a project's own environment file, once for each content of it."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import ImageError, InvalidInput
from trainer.images import build, build_failure, spec
from trainer.images.spec import DIGEST_LABEL, PREFIX
from trainer.progress import Steps
from trainer.projects import python_env, python_version
from trainer.projects.mlproject import Project
from trainer.projects.python_env import Environment
from trainer.urls import without_password
from trainer.workspace import resources
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

NAME_PREFIX = "env-"
LABEL = "trainer.environment"
STEPS = ("trainer-build.txt", "trainer-dependencies.txt")
"""The files of requirements in the context's project/, beside what they name; in the order of installing."""
_RECIPES = Path(__file__).parent / "project_env"
_CONDA_FILE = "trainer-environment.yaml"
# What Python reads of ours at every start; it needs nothing else of trainkit.
_IN_RUN = "trainer_images/trainkit/trainkit/mlflow_in_run.py"
_START = b"import trainer_mlflow_in_run; trainer_mlflow_in_run.watch()\n"
_CAUSES = (
    (
        r"Because (\S+) was not found in the package registry",
        "The package registry has no {}, which the environment names.",
        "Correct its name, or install micromamba if it is a package of conda's. ",
    ),
    (r"cause: (Because .*)", "The packages of the environment cannot be installed: {}", ""),
    (
        r"fatal: (.*)",
        "A git repository that the environment names cannot be fetched: {}",
        "Check its address, or name a version of a package registry instead. ",
    ),
)
_COPY = """
import glob, shutil, sys, sysconfig
for file in glob.glob(sys.argv[1] + "/*"):
    shutil.copy(file, sysconfig.get_path("purelib"))
"""


@dataclass(frozen=True)
class EnvironmentImage:
    """The image as it is to be; trainkit is not in it, since its own requirements are not the project's."""

    name: str
    base_image: str
    digest: str
    requirements_digest: str
    python: str = ""
    context: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """What it is built from, by name."""
    micromamba: Path | None = None
    """This machine's, which makes all of a conda.yaml; without it, uv makes what PyPI has of it."""
    apt: str = ""
    """What the base may lack."""
    remarks: tuple[str, ...] = ()
    """What the user should know of it."""
    place: Path = Path()
    """Where that is written, while it is built."""
    parent: None = None
    has_trainkit: bool = False
    has_cache: bool = True
    # What is in it is known to nobody before it is built.
    has_cuda: bool = True
    has_entrypoint: bool = False
    has_environment: bool = True
    wants_gpus: bool = False
    is_of_project: bool = True
    can_be_built: bool = True

    @property
    def tag(self) -> str:
        """`trainer/env-wine:0123456789ab`."""
        return f"{PREFIX}{self.name}:{self.digest[:12]}"

    @property
    def tags(self) -> tuple[str, ...]:
        """All that it bears."""
        return (self.tag,)

    @property
    def root_base(self) -> str:
        """What it is built on."""
        return self.base_image

    def is_known(self, workspace: Workspace) -> bool:  # noqa: ARG002 (its file is one of the project's)
        """What it is built from is the project's code."""
        return True

    def packed(self, workspace: Workspace) -> None:
        """What it is built from is stored with the project's code."""

    def ensure(self, workspace: Workspace, client: docker.DockerClient, steps: Steps) -> str:
        """Build it unless it is there. Raises `ImageError` in the words of uv or git where these say why."""
        try:
            return build.ensure(workspace, client, self, steps)[0]
        except ImageError as error:
            raise explained(self, error, workspace.state / f"build-{self.name}.log") from None

    def environment(self, folder: Path, source: Path, uv: str) -> list[list[str]]:
        """By micromamba where that makes it, else by uv."""
        self._write(source)
        python = str(folder / "bin" / "python")
        if self.micromamba:
            file = str(source / "project" / _CONDA_FILE)
            return [
                [str(self.micromamba), "create", "--yes", "--prefix", str(folder), "--file", file],
                [python, "-c", _COPY, str(source / "site")],
            ]
        install = [uv, "pip", "install", "--python", python, "--compile-bytecode", "-r"]
        return [
            [uv, "venv", "--python", self.python or sys.executable, str(folder)],
            *([*install, str(source / "project" / step)] for step in STEPS),
            [python, "-c", _COPY, str(source / "site")],
        ]

    @contextmanager
    def build_context(self) -> Iterator[None]:
        """Within: what it is built from lies in `place`."""
        try:
            self._write(self.place)
            yield
        finally:
            shutil.rmtree(self.place, ignore_errors=True)

    def _write(self, folder: Path) -> None:
        for name, content in self.context.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        if self.micromamba:
            shutil.copy(self.micromamba, folder / "micromamba")

    def build_command(self, *, no_cache: bool = False, tags: tuple[str, ...] = ()) -> list[str]:
        """The BuildKit build; `no_cache` without what is cached of it, `tags` instead of its own."""
        return [
            "docker", "buildx", "build", "--progress=plain", "--load",
            *(["--no-cache"] if no_cache else []),
            f"--build-arg=BASE_IMAGE={self.base_image}",
            f"--build-arg=PYTHON={self.python}",
            f"--build-arg=APT={self.apt}",
            f"--label={DIGEST_LABEL}={self.digest}",
            f"--label={LABEL}={self.name}",
            f"--label=trainer.requirements_digest={self.requirements_digest}",
            f"--label=trainer.base_image={self.base_image}",
            *(f"--tag={tag}" for tag in tags or self.tags),
            str(self.place),
        ]  # fmt: skip


def plan(
    workspace: Workspace, project: Project, path: Path, base_image: str | None, *, is_conda: bool
) -> EnvironmentImage:
    """What building it comes to, for the environment file `path`. Raises `InvalidInput`; creates nothing."""
    environment = python_env.read(path, project.folder, is_conda=is_conda)
    uv = spec.shared(workspace) / "uv.txt"
    if not uv.is_file():
        raise InvalidInput(f"{uv} is missing; every image is built with it.", "Restore it.")
    base = spec.chosen_base(workspace, base_image)
    micromamba = _micromamba() if environment.conda else None
    if micromamba is None:  # conda has other Pythons, too
        python_version.check(path, environment.python)
    files = {f"project/{name}": content for name, content in _files(environment, micromamba).items()}
    context = {
        **files,
        "Dockerfile": (_RECIPES / f"{'micromamba.' if micromamba else ''}Dockerfile").read_bytes(),
        "uv.txt": uv.read_bytes(),
        "site/trainer_mlflow_in_run.py": resources.place(_IN_RUN).read_bytes(),
        "site/trainer.pth": _START,
    }
    name = NAME_PREFIX + (re.sub(r"[^a-z0-9]+", "-", project.name.lower()).strip("-") or "project")
    digest = _digest(base, environment.python, context)
    return EnvironmentImage(
        name,
        base,
        digest,
        _digest(environment.python, files),
        environment.python,
        context,
        micromamba=micromamba,
        apt="git" if environment.needs_git else "",
        place=workspace.state / f"context-{name}-{digest[:12]}",
        remarks=tuple(_remarks(path.name, environment, has_conda=micromamba is not None)),
    )


def recorded(tag: str, digest: str, requirements_digest: str) -> EnvironmentImage:
    """The image of an earlier run, which is not to be built."""
    return EnvironmentImage(tag.removeprefix(PREFIX).partition(":")[0], "", digest, requirements_digest)


def explained(image: EnvironmentImage, error: ImageError, log: Path) -> ImageError:
    """The failure of a build in the words of uv or git, with the way out; as it is where they say nothing.

    `log` has what the build printed.
    """
    output = log.read_text(encoding="utf-8") if log.exists() else ""
    if build_failure.is_full(error.message):
        return error
    if image.python and re.search("failed to solve: process .*uv venv", output):
        return ImageError(
            f"The environment needs Python {image.python}, which {image.base_image} is not, and none "
            "could be fetched.",
            f"Specify a base image that has it: --base-image python:{python_version.to_name(image.python)}",
        )
    for pattern, message, hint in _CAUSES:
        if match := re.search(pattern, output):
            return ImageError(message.format(without_password(match[1])), f"{hint}See {log}")
    return error


def _micromamba() -> Path | None:
    """That of this machine, where a Linux image can have it, too."""
    path = shutil.which("micromamba") if sys.platform == "linux" else None
    return Path(path).resolve() if path else None


def _remarks(file: str, environment: Environment, *, has_conda: bool) -> Iterator[str]:
    names_by_kind = {
        "installed from PyPI": environment.from_conda,
        "left out, as only conda has it": environment.left_out,
    }
    if any(names_by_kind.values()) and not has_conda:
        summary = "; ".join(f"{how}: {', '.join(names)}" for how, names in names_by_kind.items() if names)
        yield (
            f"{file}: {summary}.\nWhere micromamba is on the PATH, it installs all of the file as conda does."
        )
    if environment.unpinned:
        yield (
            f"{file}: the newest version of {', '.join(environment.unpinned)} is installed, "
            "for it was frozen as a file of another machine.\n"
            "To freeze versions instead: pip list --format=freeze"
        )


def _files(environment: Environment, micromamba: Path | None) -> dict[str, bytes]:
    if micromamba:
        return {**environment.files, _CONDA_FILE: environment.conda}
    lines = dict(zip(STEPS, (environment.build_dependencies, environment.dependencies), strict=True))
    return {
        **environment.files,
        **{name: "".join(f"{line}\n" for line in lines[name]).encode() for name in lines},
    }


def _digest(*parts: str | Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(sorted(part.items()) if not isinstance(part, str) else part).encode())
    return digest.hexdigest()
