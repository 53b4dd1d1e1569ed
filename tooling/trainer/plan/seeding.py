"""The seed of a run, and what its process has to be told before it starts for the same numbers to come twice.

The rest is done inside, by trainkit, which knows the frameworks: it reads the variables that are set here.
"""

from __future__ import annotations

from collections.abc import Mapping

from trainkit import run_environment

from trainer.errors import InvalidInput
from trainer.projects.mlproject import EntryPoint

PARAMETER = "seed"
# What Python takes as PYTHONHASHSEED, and NumPy as a seed.
MOST = 2**32 - 1


def is_declared(entry_point: EntryPoint) -> bool:
    """Whether the project has a parameter of its own for the seed."""
    return any(parameter.name == PARAMETER for parameter in entry_point.parameters)


def with_seed(entry_point: EntryPoint, given: Mapping[str, str], seed: int | None) -> dict[str, str]:
    """The parameters given, with the seed among them where the project declares one.

    Raises `InvalidInput` where it declares none, and the number is no seed.
    """
    if seed is None:
        return dict(given)
    if is_declared(entry_point):
        return {**given, PARAMETER: str(seed)}
    if not 0 <= seed <= MOST:
        raise InvalidInput(f"--seed {seed} is out of range.", f"Pass a whole number from 0 to {MOST}.")
    return dict(given)


def seed_of(values: Mapping[str, str], seed: int | None, *, deterministic: bool) -> int | None:
    """The seed of the run; 0 for a deterministic one without any, since nothing unseeded comes twice.

    None where the project's own parameter `seed` is no whole number.
    """
    if PARAMETER in values:
        try:
            return int(values[PARAMETER])
        except ValueError:
            return None
    return 0 if seed is None and deterministic else seed


def environment(seed: int | None, *, deterministic: bool) -> dict[str, str]:
    """What trainkit is told, and what Python and CUDA read before the first line of a script runs."""
    variables: dict[str, str] = {}
    if seed is not None:
        # Without it Python salts the hashes of strings, and a set of them has another order in each run.
        variables |= {run_environment.SEED: str(seed), "PYTHONHASHSEED": str(seed % (MOST + 1))}
    if deterministic:
        # cuBLAS is repeatable only with a workspace of a fixed size.
        variables |= {run_environment.DETERMINISTIC: "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    return variables
