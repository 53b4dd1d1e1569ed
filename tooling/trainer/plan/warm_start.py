"""A finished run whose model a new run trains further."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from trainkit import run_environment

from trainer.errors import InvalidInput
from trainer.images.image import RunImage
from trainer.plan import downloads
from trainer.projects.mlproject import Project
from trainer.source import snapshot

INPUT = "trainer-warm-start"
"""What it is called among the inputs of the new run."""
KERAS, TORCH = "model", "model.pt"
"""The artifacts that have all weights: MLflow's model of Keras, and the file of `trainkit.torch.export`."""


@dataclass(frozen=True)
class WarmStart:
    """The finished run, and its artifact with the model."""

    run_id: str
    name: str
    model: str
    url: str = ""
    """Of its page."""

    @property
    def uri(self) -> str:
        """Where the model is fetched from: the server that the new run reports to."""
        return f"runs:/{self.run_id}/{self.model}"

    @property
    def variables(self) -> dict[str, str]:
        """What the new run is told of it."""
        path = f"{run_environment.INPUTS}/{INPUT}/{downloads.name(self.uri)}"
        return {run_environment.WARM_START: path, run_environment.WARM_START_RUN: self.run_id}

    @property
    def is_valid(self) -> bool:
        """Whether it is one at all: a server says it of a run that is taken up again."""
        return re.fullmatch(r"[0-9a-f]{32}", self.run_id) is not None and self.model in (KERAS, TORCH)


def check(project: Project, image: RunImage) -> None:
    """Raises `InvalidInput` for a project that would not look at the model, and train from the beginning."""
    if not image.has_trainkit:
        raise InvalidInput(
            f"--warm-start: {project.name} runs in {image.tag}, which has no trainkit to load a model.",
            "Run it in a trainer image: --image NAME",
        )
    if not calls(project.folder, "warm_start.load"):
        raise InvalidInput(
            f"--warm-start: {project.name} does not say where it takes the weights of an earlier run.",
            "Call warm_start.load(model) where its model is built: from trainkit.models import warm_start",
        )


def calls(folder: Path, function: str) -> bool:
    """Whether a Python script of the project calls `MODULE.FUNCTION`, written like that."""
    call = re.compile(rf"\b{re.escape(function)}\s*\(".encode())
    scripts = (path for path in snapshot.files(folder) if path.suffix == ".py")
    return any(call.search((folder / path).read_bytes()) for path in scripts)
