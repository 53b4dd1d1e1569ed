"""What a run may have of the machine, in Docker's words."""

from __future__ import annotations

import re

from trainer.errors import InvalidInput
from trainer.workspace.settings import SIZE

_LEAST_MEMORY = 6 << 20  # Docker's own limit


def gpus(value: str) -> str:
    """The value of --gpus: none, all, a number, or device=0,1. Raises `InvalidInput` for anything else."""
    if not re.fullmatch(r"none|all|[1-9][0-9]{0,3}|device=[\w-]+(,[\w-]+)*", value):
        raise InvalidInput(f"--gpus {value} is invalid.", "Use none, all, a number, or device=0,1.")
    return value


def memory(value: str | None) -> str | None:
    """The value of --memory, such as 8g. Raises `InvalidInput` for what is no size."""
    if value is not None and not re.fullmatch(SIZE, value):
        raise InvalidInput(f"--memory {value} is invalid.", "Use a number and k, m or g: 512m, 8g.")
    if value is not None and bytes_of(value) < _LEAST_MEMORY:
        raise InvalidInput(
            f"--memory {value} is less than an engine takes: 6m.", "Use what the training needs, such as 8g."
        )
    return value.lower() if value else None


def cpus(value: int | None) -> int | None:
    """The value of --cpus. Raises `InvalidInput` for less than one core."""
    if value is not None and value < 1:
        raise InvalidInput(f"--cpus {value} is invalid.", "Use a number of cores, 1 at least.")
    return value


def bytes_of(size: str) -> int:
    """`512m` in bytes."""
    return int(size[:-1]) * {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[size[-1].lower()]
