"""A workspace in a temporary folder with a project that does nothing, and the ways to launch that."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.ratios import REPOSITORY, process

IMAGE = "sklearn"
NAME = "bench-idle"
BIN = Path(sys.executable).parent
_MLPROJECT = f"""\
name: {NAME}
docker_env:
  image: {{image}}
entry_points:
  main:
    command: "{{command}}"
"""


@dataclass(frozen=True)
class Place:
    """A workspace whose tracking server runs. `image` is the tag of the trainer image that runs use."""

    root: Path
    image: str
    server: str

    @property
    def project(self) -> Path:
        """The folder of the project that does nothing."""
        return self.root / "train_code" / NAME

    @property
    def stock(self) -> Path:
        """The same project for stock MLflow, which takes `latest` of an image that has no tag."""
        return self.root / "stock"

    def trainer(self, *arguments: str) -> float:
        """Seconds of `trainer ARGUMENTS`."""
        return process([BIN / "trainer", *arguments], cwd=self.root, environment=_environment())

    def launch(self, *arguments: str) -> float:
        """Seconds of `trainer run` of the project."""
        return self.trainer("run", NAME, *arguments)

    def docker_run(self, command: str) -> float:
        """Seconds of `docker run` of the command, which is split at its spaces."""
        return process(["docker", "run", "--rm", "--init", self.image, *command.split()])

    def mlflow_run(self, *arguments: str) -> float:
        """Seconds of stock `mlflow run` of the same project in the same image, told to the same server."""
        environment = {**_environment(), "MLFLOW_TRACKING_URI": self.server, "TMPDIR": str(self.root / "tmp")}
        command: list[str | Path] = [BIN / "mlflow", "run", self.stock, "--experiment-name", "mlflow"]
        return process([*command, *arguments], cwd=self.root, environment=environment)

    def mlflow(self, *arguments: str) -> float:
        """Seconds of `mlflow ARGUMENTS`."""
        environment = {**_environment(), "MLFLOW_TRACKING_URI": self.server}
        return process([BIN / "mlflow", *arguments], cwd=self.root, environment=environment)


def _environment() -> Mapping[str, str]:
    """As a user has it: byte code is kept, nothing is told to MLflow's makers."""
    return {"PYTHONDONTWRITEBYTECODE": "", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


@contextlib.contextmanager
def place(port: int, command: str = "true") -> Iterator[Place]:
    """Within: a workspace with the repository's images; the first image is built if it is not there."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder)
        (root / "tmp").mkdir()
        (root / "data").mkdir()
        (root / "train_code" / NAME).mkdir(parents=True)
        (root / "trainer_images").symlink_to(REPOSITORY / "trainer_images")
        (root / "trainer.yaml").write_text(f"server_port: {port}\n")
        (root / ".gitignore").write_text("secrets.env\n.trainer/\nmlruns/\ndata/\ntmp/\n*.ignored\n")
        mlproject = root / "train_code" / NAME / "MLproject"
        mlproject.write_text(_MLPROJECT.format(image=f"trainer/{IMAGE}", command=command))
        for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "A project"]):
            subprocess.run(["git", "-C", root, *_AUTHOR, *words], check=True)
        made = Place(root, "", "")
        try:
            made.trainer("build-image", IMAGE)
            made.launch()  # the server is started, and what is kept from the first run on is there
            made = Place(root, _image(root), _server(root))
            made.stock.mkdir()
            (made.stock / "MLproject").write_text(_MLPROJECT.format(image=made.image, command=command))
            yield made
        finally:
            subprocess.run([BIN / "trainer", "server", "down"], cwd=root, check=True, capture_output=True)
            _remove_images()


def _remove_images() -> None:
    """Those that `mlflow run --build-image` left behind."""
    listed = subprocess.run(["docker", "images", "--quiet", NAME], capture_output=True, text=True, check=True)
    for image in set(listed.stdout.split()):
        subprocess.run(["docker", "rmi", "--force", image], capture_output=True, check=False)


_AUTHOR = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]


def _image(root: Path) -> str:
    plan = _trainer_json(root, "run", NAME, "--dry-run", "--json")
    image = plan["image"]
    return str(image["tag"]) if isinstance(image, dict) else ""


def _server(root: Path) -> str:
    return f"http://127.0.0.1:{json.loads((root / '.trainer' / 'server.json').read_text())['port']}"


def _trainer_json(root: Path, *arguments: str) -> dict[str, object]:
    done = subprocess.run(
        [BIN / "trainer", *arguments], cwd=root, check=True, capture_output=True, text=True, env=os.environ
    )
    said = json.loads(done.stdout)
    return said if isinstance(said, dict) else {}
