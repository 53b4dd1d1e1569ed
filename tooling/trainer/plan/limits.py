"""What a run may have of the machine, in Docker's words."""

from __future__ import annotations

import re

from trainer.errors import BadInput
from trainer.workspace.settings import SIZE

_LEAST_MEMORY = 6 << 20  # Docker's own limit


def gpus(asked: str) -> str:
    """The value of --gpus: none, all, a number, or device=0,1. Raises `BadInput` for anything else."""
    if not re.fullmatch(r"none|all|[1-9][0-9]{0,3}|device=[\w-]+(,[\w-]+)*", asked):
        raise BadInput(f"--gpus {asked} is invalid.", "Use none, all, a number, or device=0,1.")
    return asked


def memory(asked: str | None) -> str | None:
    """The value of --memory, such as 8g. Raises `BadInput` for what is no size."""
    if asked is not None and not re.fullmatch(SIZE, asked):
        raise BadInput(f"--memory {asked} is invalid.", "Use a number and k, m or g: 512m, 8g.")
    if asked is not None and bytes_of(asked) < _LEAST_MEMORY:
        raise BadInput(
            f"--memory {asked} is less than an engine takes: 6m.", "Use what the training needs, such as 8g."
        )
    return asked.lower() if asked else None


def bytes_of(size: str) -> int:
    """`512m` in bytes."""
    return int(size[:-1]) * {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[size[-1].lower()]
