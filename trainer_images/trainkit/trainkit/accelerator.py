"""GPUs: what the framework of this image was built for, and whether a run sees those it was given.

`python -m trainkit.accelerator` prints the first as JSON; `trainer run --gpus` compares it with the machine.
"""

import json
import os
import re
from importlib.metadata import distributions
from importlib.util import find_spec
from typing import TypedDict

from trainkit import run_environment
from trainkit.errors import InputError


class FrameworkBuild(TypedDict):
    """A framework's own words about its build. `cuda` is None where it has none."""

    framework: str
    cuda: str | None
    architectures: list[str] | None
    """`sm_90` is machine code for compute capability 9.0, `compute_90` is what later cards can translate.

    None where the framework does not say.
    """


def built_for() -> list[FrameworkBuild]:
    """One entry for each framework of this environment that could use a GPU."""
    builds = []
    if find_spec("tensorflow"):
        builds.append(_tensorflow())
    if find_spec("torch"):
        builds.append(_torch())
    if find_spec("jax"):
        builds.append(_jax())
    return builds


def require_gpus(framework: str, seen: int) -> None:
    """Raise `InputError` if this run was given GPUs ($TRAINER_GPUS) and the framework sees none of them."""
    asked = os.environ.get(run_environment.GPUS, "none")
    if asked != "none" and seen == 0:
        raise InputError(
            f"{framework} sees no GPU, but the run was started with --gpus {asked}.",
            "See the framework's own messages above; --gpus none runs on the CPU on purpose.",
        )


def _tensorflow() -> FrameworkBuild:
    import tensorflow

    info = tensorflow.sysconfig.get_build_info()
    return FrameworkBuild(
        framework=f"TensorFlow {tensorflow.__version__}",
        cuda=info.get("cuda_version"),
        architectures=list(info.get("cuda_compute_capabilities", [])),
    )


def _torch() -> FrameworkBuild:
    import torch

    # torch.cuda.get_arch_list() answers only where there is a GPU, in some versions.
    flags = torch._C._cuda_getArchFlags() if torch.version.cuda else None
    return FrameworkBuild(
        framework=f"PyTorch {torch.__version__}",
        cuda=torch.version.cuda,
        architectures=(flags or "").split(),
    )


def _jax() -> FrameworkBuild:
    import jax

    # The CUDA that JAX computes with is a package of its own, jax-cuda13-plugin.
    plugins = (re.fullmatch(r"jax[-_]cuda(\d+)[-_]plugin", package.name) for package in distributions())
    return FrameworkBuild(
        framework=f"JAX {jax.__version__}",
        cuda=next((plugin[1] for plugin in plugins if plugin), None),
        architectures=None,
    )


if __name__ == "__main__":
    print(json.dumps(built_for()))
