"""The repository's images, and the one that one writes in a minute: `pip install -r requirements.txt`."""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.ratios import REPOSITORY, process
from bench.workspaces import BIN, environment
from trainer.images import spec, trainer_image
from trainer.images.trainer_image import TrainerImage
from trainer.workspace import settings

TAG = "trainer-bench:naive"
# A name of its own for the caches of downloads: a build without cache empties those that it mounts.
OWN_DOWNLOADS = "--build-arg=BUILDKIT_CACHE_MOUNT_NS=trainer-bench"
_DOCKERFILE = """\
FROM {base}
ENV PIP_BREAK_SYSTEM_PACKAGES=1
COPY requirements.txt .
RUN pip install -r requirements.txt
"""


def plan_of(name: str) -> TrainerImage:
    """What building the repository's image `name` comes to."""
    workspace = settings.find(Path(__file__).parent)
    return trainer_image.plan(workspace, spec.spec(workspace, name))


def build_image(name: str) -> float:
    """Seconds of `trainer build-image NAME` in the repository; afterwards the image is there."""
    return process([BIN / "trainer", "build-image", name], cwd=REPOSITORY, environment=environment())


def build(plan: TrainerImage, *, no_cache: bool = True) -> float:
    """Seconds that the naive image takes: the same direct requirements, the whole of MLflow, by pip."""
    remove(TAG)
    requirements = (plan.spec.folder / "requirements.in").read_text()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "requirements.txt").write_text(
            re.sub("^mlflow-skinny", "mlflow", requirements, flags=re.M)
        )
        Path(folder, "Dockerfile").write_text(_DOCKERFILE.format(base=plan.root_base))
        command = ["docker", "buildx", "build", "--load", f"--tag={TAG}", folder]
        return process([*command, *(["--no-cache"] if no_cache else [])])


def remove(tag: str) -> None:
    """The tag, if it is there, and its image where no other tag has it."""
    subprocess.run(["docker", "rmi", tag], capture_output=True, check=False)


@contextlib.contextmanager
def tags_removed(*tags: str) -> Iterator[None]:
    """Afterwards: the tags are gone."""
    try:
        yield
    finally:
        for tag in tags:
            remove(tag)
