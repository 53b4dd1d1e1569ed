"""A workspace in a temporary folder with a project that does nothing, and the ways to launch that."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.ratios import REPOSITORY, process
from trainer.backends.docker.code_layer import WORKSPACE_LABEL
from trainer.workspace import settings

IMAGE = "sklearn"
NAME = "bench-idle"
BIN = Path(sys.executable).parent
_MLPROJECT = """\
name: {name}
docker_env:
  image: {image}
entry_points:
  main:
{parameters}\
    command: "{command}"
"""


@dataclass(frozen=True)
class BenchWorkspace:
    """A workspace whose tracking server runs. `image` is the tag of the trainer image that runs use."""

    root: Path
    image: str
    access: Mapping[str, str]
    """What MLflow's own commands need to use the server."""

    def project(self, name: str = NAME, command: str = "true", *, dataset: str | None = None) -> Path:
        """The folder of a project that does nothing, made new; with the dataset as a parameter."""
        folder = self.root / "train_code" / name
        folder.mkdir(parents=True)
        parameters = (
            f"    parameters:\n      data: {{default: {dataset}, dataset: true}}\n" if dataset else ""
        )
        (folder / "MLproject").write_text(
            _MLPROJECT.format(name=name, image=f"trainer/{IMAGE}", command=command, parameters=parameters)
        )
        return folder

    def commit(self) -> None:
        """Everything to git, as one does."""
        for words in (["add", "."], ["commit", "--quiet", "-m", "Work"]):
            subprocess.run(["git", "-C", self.root, *_AUTHOR, *words], check=True)

    def stock(self, project: str = NAME) -> Path:
        """The same project for stock MLflow, which takes `latest` of an image that has no tag."""
        folder = self.root / "stock" / project
        if not folder.exists():
            shutil.copytree(self.root / "train_code" / project, folder)
            file = folder / "MLproject"
            file.write_text(file.read_text().replace(f"trainer/{IMAGE}", self.image))
        return folder

    def trainer(self, *arguments: str) -> float:
        """Seconds of `trainer ARGUMENTS`."""
        return process([BIN / "trainer", *arguments], cwd=self.root, environment=environment())

    def launch(self, project: str = NAME) -> float:
        """Seconds of `trainer run` of a project."""
        return self.trainer("run", project)

    def docker_run(self, command: str) -> float:
        """Seconds of `docker run` of the command, which is split at its spaces."""
        return process(["docker", "run", "--rm", "--init", self.image, *command.split()])

    def mlflow_run(self, *arguments: str, project: str = NAME) -> float:
        """Seconds of stock `mlflow run` of the same project in the same image, told to the same server."""
        folder = self.stock(project)
        variables = {**environment(), **self.access, "TMPDIR": str(self.root / "tmp")}
        command: list[str | Path] = [BIN / "mlflow", "run", folder, "--experiment-name", "mlflow"]
        return process([*command, *arguments], cwd=self.root, environment=variables)

    def mlflow(self, *arguments: str) -> float:
        """Seconds of `mlflow ARGUMENTS`."""
        variables = {**environment(), **self.access}
        return process([BIN / "mlflow", *arguments], cwd=self.root, environment=variables)


def environment() -> Mapping[str, str]:
    """As a user has it: byte code is kept, nothing is told to MLflow's makers."""
    return {"PYTHONDONTWRITEBYTECODE": "", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


@contextlib.contextmanager
def place(port: int, command: str = "true") -> Iterator[BenchWorkspace]:
    """Within: a workspace with the repository's images; the first image is built if it is not there."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder)
        (root / "tmp").mkdir()
        (root / "data").mkdir()
        (root / "trainer_images").symlink_to(REPOSITORY / "trainer_images")
        (root / "trainer.yaml").write_text(f"server_port: {port}\n")
        (root / ".gitignore").write_text("secrets.env\n.trainer/\nmlruns/\ndata/\ntmp/\n*.ignored\n")
        subprocess.run(["git", "init", "--quiet", root], check=True)
        workspace = BenchWorkspace(root, "", {})
        workspace.project(NAME, command)
        workspace.commit()
        try:
            workspace.trainer("build-image", IMAGE)
            workspace.launch()  # the server is started, and what is kept from the first run on is there
            workspace = BenchWorkspace(root, _image(root), _access(root))
            yield workspace
        finally:
            subprocess.run([BIN / "trainer", "server", "down"], cwd=root, check=True, capture_output=True)
            for project in (root / "stock").glob("*"):
                _remove_images("--filter", f"reference={project.name}")
            _remove_images("--filter", f"label={WORKSPACE_LABEL}={settings.find(root).identity}")


def _remove_images(*which: str) -> None:
    """Those that `mlflow run --build-image` left behind, and the code of large projects."""
    command = ["docker", "images", "--quiet", *which]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    for image in set(listed.stdout.split()):
        subprocess.run(["docker", "rmi", "--force", image], capture_output=True, check=False)


_AUTHOR = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]


def _image(root: Path) -> str:
    plan = _trainer_json(root, "run", NAME, "--dry-run", "--json")
    image = plan["image"]
    return str(image["tag"]) if isinstance(image, dict) else ""


def _access(root: Path) -> dict[str, str]:
    return {name: str(value) for name, value in _trainer_json(root, "env", "--json").items()}


def _trainer_json(root: Path, *arguments: str) -> dict[str, object]:
    done = subprocess.run(
        [BIN / "trainer", *arguments], cwd=root, check=True, capture_output=True, text=True, env=os.environ
    )
    variables = json.loads(done.stdout)
    return variables if isinstance(variables, dict) else {}
