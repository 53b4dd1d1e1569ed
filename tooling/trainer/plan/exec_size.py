"""How much a process can be started with: what would not fit is refused before a run exists.

Linux takes no word or variable of more than 32 pages, and of all of them a quarter of the stack's limit,
which is 8 MiB by default (execve(2), "Limits on size of arguments and environment").
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from trainer.errors import InvalidInput
from trainer.plan.run_plan import RunPlan

_LONGEST = (1 << 17) - 1  # bytes, with `NAME=`; the kernel's count has a zero at the end
_MOST = (1 << 21) - (1 << 17)  # bytes; the rest is left to what the image sets
_POINTER = 8
_HINT = (
    "Keep a large value in a file: a run reads what a parameter of type path names, or docker_env.volumes."
)


def check(plan: RunPlan, secret_environment: Mapping[str, str]) -> None:
    """Raises `InvalidInput` for what is too large, alone or together, naming it and no value."""
    total = 0
    for label, word in _words(plan, secret_environment):
        size = len(os.fsencode(word))
        if size > _LONGEST:
            raise InvalidInput(
                f"{label} has {size:,} bytes; Linux starts no process with one of more than {_LONGEST:,}.",
                _HINT,
            )
        total += size + 1 + _POINTER
    if total > _MOST:
        raise InvalidInput(
            f"The command and the variables of {plan.code.project} have {total:,} bytes together; "
            f"Linux starts no process with more than about {_MOST:,}.",
            _HINT,
        )


def _words(plan: RunPlan, secret_environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in secret_environment.items():
        yield f"The secret {name}", f"{name}={value}"
    for name, value in plan.environment.variables.items():
        yield f"The variable {name}", f"{name}={value}"
    # With all that is put into it: a command for a shell is one word.
    for word in plan.command:
        yield f"A word of the command of {plan.code.entry_point}", word
