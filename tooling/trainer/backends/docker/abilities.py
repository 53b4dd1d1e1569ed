"""What a plan asks for and the engine, or its machine, cannot give: known before anything is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import subprocesses, urls
from trainer.engine import daemon, run_user
from trainer.engine.run_user import RunUser
from trainer.errors import InvalidInput
from trainer.host import gpu
from trainer.images import build
from trainer.plan.run_plan import RunPlan
from trainer.slots import choosing
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker


def check(
    workspace: Workspace,
    client: Callable[[], docker.DockerClient],
    info: Callable[[], daemon.Info],
    plan: RunPlan,
) -> None:
    """Raises `InvalidInput` for files it cannot mount and limits it cannot keep, `GpuError` without a GPU.

    No engine is asked, not even connected to (`client`, `info`), for a plan that can be judged without.
    """
    address = daemon.endpoint()
    files = [mount.source for mount in plan.inputs.mounts if mount.kind == "bind" and not mount.optional]
    files += [urls.without_password(uri) for uri in plan.inputs.downloads.values()]
    if files and daemon.is_remote(address):
        raise InvalidInput(
            f"{files[0]} is on this machine; the engine at {address} cannot mount it.",
            "Run on a local engine, or let the script read the data from a URI.",
        )
    if files and (user := run_user.of(client())).stranger:
        _check_readable(workspace, plan, user)
    if plan.resources.memory and not info()["MemoryLimit"]:
        raise InvalidInput(
            f"--memory {plan.resources.memory}: the engine at {address} cannot limit memory; "
            "it would be ignored.",
            "Leave it out; a rootless engine needs cgroup v2, and a memory controller delegated to it.",
        )
    if plan.resources.cpus is not None:
        if not info()["CPUSet"]:
            raise InvalidInput(
                f"--cpus {plan.resources.cpus}: the engine at {address} cannot bind a run to cores.",
                "Leave it out; a rootless engine needs cgroup v2, and a cpuset controller delegated to it.",
            )
        choosing.check_cpus(plan.resources.cpus, info()["NCPU"])
    if plan.resources.gpus != "none":
        _check_gpu(client, address, plan)


def _check_gpu(client: Callable[[], docker.DockerClient], address: str, plan: RunPlan) -> None:
    if not plan.image.has_cuda:
        raise gpu.no_cuda(plan.image.tag)
    # Not to build gigabytes first: once the image is there, a container is asked instead.
    is_here = not daemon.is_remote(address) and build.image_id(client(), plan.image_reference) is None
    if is_here and subprocesses.capture(["nvidia-smi", "-L"]) is None:
        raise gpu.no_driver(plan.resources.gpus)


def _check_readable(workspace: Workspace, plan: RunPlan, user: RunUser) -> None:
    """Raises `InvalidInput` for what is mounted and cannot be read, or written, by another user than you."""
    binds = [mount for mount in plan.inputs.mounts if mount.kind == "bind" and not mount.optional]
    looked_at = [(Path(mount.source), not mount.read_only) for mount in binds]
    looked_at += [(workspace.data / name, False) for name in plan.inputs.data.values()]
    for path, writes in looked_at:
        if closed := run_user.closed_to_others(path, writes=writes):
            raise InvalidInput(
                f"{closed} is closed to the run, which is another user here: {user.stranger}.",
                f"chmod -R o+{'rwX' if writes else 'rX'} {path}, or use another engine.",
            )
