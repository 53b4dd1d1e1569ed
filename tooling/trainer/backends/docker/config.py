"""What a run's container is made of: its configuration, and the files that are put into it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from trainkit import run_environment

from trainer.backends.base import Launch, of_slot, shell_variables
from trainer.backends.docker import containers
from trainer.backends.docker.slots import holders
from trainer.engine import daemon
from trainer.engine.one_off import NO_ENTRYPOINT, device_requests, private_tar
from trainer.engine.run_user import RunUser
from trainer.plan.limits import bytes_of
from trainer.plan.run_plan import RunPlan
from trainer.slots.need import Slot
from trainer.tracking.endpoint import CONTAINER_HOST, Network

if TYPE_CHECKING:
    import docker

PLACE = run_environment.TRAINER
HOME, SPOOL = f"{PLACE}/home", f"{PLACE}/spool"
# The engine makes PLACE, as root. What the run's own user writes and removes is in a folder of that user.
OWN = f"{PLACE}/run"
RESULT = f"{OWN}/result"
_AUTHORITIES = f"{HOME}/.mlflow"
WRITTEN = f"{RESULT}.files"
CODE = f"{PLACE}/code"
GRACE_S = 5  # and telling engine and server takes a moment, on a busy machine too: 10 s is the promise
# The engine's init hands a signal on to the command too, not to the start script alone.
_TO_ALL = {"TINI_KILL_PROCESS_GROUP": "1"}
_TMPFS = {"/tmp": "exec,mode=1777"}  # noqa: S108 (the container's own; compilers of kernels run what they write)
_LOG = {"max-size": "1000t"}  # rotation would lose the beginning of train.log


def network(own: Network | None) -> dict[str, object]:
    """The network that runs reach the server by, as options of docker-py: its own, else the default one."""
    return {"extra_hosts": {CONTAINER_HOST: "host-gateway"}, "network_mode": own.name if own else None}


def container_name(run_id: str) -> str:
    """`trainer-` and the run's id: so a run's container is found without looking it up."""
    return f"trainer-{run_id}"


def container_config(
    client: docker.DockerClient,
    plan: RunPlan,
    launch: Launch,
    user: RunUser,
    entrypoint: tuple[str, ...] = (),
    folder: str = CODE,
) -> dict[str, object]:
    """The body of the engine's "create a container" call. No secret value is in it.

    `entrypoint` is what the image has before every command: the start script comes before that. `folder` is
    where the command is run.
    """
    from docker.types import DeviceRequest, LogConfig, Mount

    # Another machine cannot mount this one's folders.
    is_remote = daemon.is_remote(daemon.endpoint())
    mounts = [
        Mount(m.target, m.source, m.kind, read_only=m.read_only)
        for m in plan.inputs.mounts
        if not (is_remote and m.optional)
    ]
    # The run's own folder: a volume without a name, since nothing can be put into a read-only container.
    own = [Mount(PLACE, None)] if plan.resources.read_only else []
    memory = bytes_of(plan.resources.memory) if plan.resources.memory else None
    fetched = [
        Mount(f"{run_environment.INPUTS}/{name}", str(launch.folder.inputs / name), "bind", read_only=True)
        for name in plan.inputs.downloads
    ]
    # A stranger could not write to it: there the spool is put in, and fetched at the end.
    spool = [] if user.stranger else [Mount(SPOOL, str(launch.spool), "bind")]
    host = client.api.create_host_config(
        mounts=[*mounts, *fetched, *own, *spool],
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        init=True,
        pids_limit=plan.resources.pids_limit,
        read_only=plan.resources.read_only,
        tmpfs=_TMPFS if plan.resources.read_only else None,
        **network(launch.network),  # type: ignore[arg-type]  # docker-py's own options
        shm_size=bytes_of(plan.resources.shared_memory),
        mem_limit=memory,
        memswap_limit=memory,  # equal to the limit: no swap on top of it
        device_requests=[DeviceRequest(**request) for request in device_requests(_gpus(plan, launch.slot))],
        cpuset_cpus=launch.slot.cpus or None if launch.slot else None,
        log_config=LogConfig(type="json-file", config=_LOG),
    )
    return client.api.create_container_config(
        launch.image_id,
        ["sh", f"{OWN}/start.sh", RESULT, f"{OWN}/environment", *entrypoint, *plan.command],
        entrypoint=NO_ENTRYPOINT,
        user=f"{user.uid}:{user.gid}",
        environment={
            **plan.environment.variables,
            **launch.environment,
            "HOME": HOME,
            "USER": "trainer",
            run_environment.SPOOL: SPOOL,
            **of_slot(launch.slot),
            **_TO_ALL,
        },
        working_dir=folder,
        labels={
            **containers.labels(launch.record, launch.workspace),
            **holders.labels(launch.slot, plan.resources.memory),
        },
        stop_signal="SIGINT",
        stop_timeout=GRACE_S,  # for a `docker stop`, too
        host_config=host,
    )


def _gpus(plan: RunPlan, slot: Slot | None) -> str:
    return f"device={','.join(slot.gpus)}" if slot and slot.gpus else plan.resources.gpus


def private_files(
    launch: Launch, user: RunUser, folder: str = CODE, others: Mapping[str, bytes] = MappingProxyType({})
) -> bytes:
    """/trainer with the start script, the secret variables and MLflow's credentials file, as a tar.

    What is left in the `folder` that the command is run in is listed where that goes with the container.
    `others` are files beside the start script.
    """
    start = (Path(__file__).parents[1] / "start.sh").read_bytes()
    variables, authorities = launch.outbound.moved(_AUTHORITIES)
    secret = shell_variables({**variables, **launch.secret_environment}).encode()
    files = {
        "home/.mlflow/": b"",
        "run/start.sh": start,
        "run/environment": secret,
        **{f"home/.mlflow/{name}": content for name, content in authorities.items()},
        **({f"run/{Path(WRITTEN).name}": b""} if folder == CODE else {}),
        **{f"run/{name}": content for name, content in others.items()},
    }
    if launch.credentials:
        files["home/.mlflow/credentials"] = credentials_file(launch.credentials).encode()
    return private_tar(files, user.uid, user.gid)


def spool_files(launch: Launch, user: RunUser) -> bytes:
    """The run's spool as a tar, for an engine that cannot mount it from here."""

    def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid, entry.gid = user.uid, user.gid
        return entry

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(launch.spool, Path(SPOOL).name, filter=owned)
    return packed.getvalue()


def credentials_file(credentials: tuple[str, str]) -> str:
    """The file ~/.mlflow/credentials, which MLflow's client reads by itself; its parser doubles `%`."""
    username, password = (text.replace("%", "%%") for text in credentials)
    return f"[mlflow]\nmlflow_tracking_username = {username}\nmlflow_tracking_password = {password}\n"
