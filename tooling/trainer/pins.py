"""What pins a run: the tags that say what it was made of."""

from __future__ import annotations

import getpass
import os
import shlex
from importlib.metadata import version

from trainer import code
from trainer.plan import RunPlan


def tags(plan: RunPlan, code_digest: str, image_id: str) -> dict[str, str]:
    """The tags of a new run: MLflow's own that its UI knows, and what pins the run."""
    said: dict[str, str] = {
        "mlflow.user": _user(),
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": plan.source,
        "mlflow.project.entryPoint": plan.entry_point,
        "mlflow.project.backend": f"trainer-{plan.backend}",
        "trainer.version": version("trainer"),
        "trainer.backend": plan.backend,
        "trainer.command": shlex.join(plan.command),
        "trainer.image": plan.image.tag,
        "trainer.image_digest": plan.image.digest,
        "trainer.image_id": image_id,
        "trainer.requirements_digest": plan.image.requirements_digest,
        "trainer.code_digest": code_digest,
        "trainer.gpus": plan.gpus,
        "trainer.memory": plan.memory or "unlimited",
    }
    if at := code.commit(plan.folder):
        said |= {
            "mlflow.source.git.commit": at.id,
            "mlflow.source.git.branch": at.branch,
            "trainer.git_dirty": str(at.dirty).lower(),
        }
    return said | dict(plan.tags)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user that only has a number, as in many containers
        return str(os.getuid())
