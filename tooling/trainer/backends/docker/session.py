"""A container as a run has it that is no run: nobody follows it, judges it, or finds it by its label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from trainer.backends.base import Launch
from trainer.backends.docker.config import PLACE, container_config, private_files, spool_files
from trainer.engine import daemon, run_user
from trainer.engine.one_off import private_tar
from trainer.plan.run_plan import RunPlan
from trainer.subprocesses import deferred_signals

if TYPE_CHECKING:
    import docker

LABEL = "trainer.session"
"""Its container's; the value is the identity of the workspace."""
# As start.sh does, but that the streams stay two and the command takes the place of the shell.
_START = 'set -a; . "$1"; set +a; rm -f "$1"; shift; exec "$@"'
_PROMPT = b"PS1='trainer:\\w\\$ '\n"  # the user has no name there


@contextmanager
def created(
    client: docker.DockerClient, plan: RunPlan, launch: Launch, command: Sequence[str], *, terminal: bool
) -> Iterator[str]:
    """Within: a container that was not started, with code, data and secrets of the launch; its id.

    `terminal`: whether the command is to have one. The engine removes the container when its command has
    ended, or else the end of the block does.
    """
    from docker.errors import APIError

    user = run_user.of(client)
    config = container_config(client, plan, launch, user)
    host = cast(Mapping[str, object], config["HostConfig"])
    environment = f"{PLACE}/run/environment"
    config |= {
        "Cmd": ["sh", "-c", _START, "trainer", environment, *command],
        "Tty": terminal,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Labels": {LABEL: launch.workspace},
        "HostConfig": {**host, "AutoRemove": True},
    }
    container = ""
    with daemon.failures():
        try:
            # A signal in between would leave a container that nobody knows of.
            with deferred_signals():
                container = client.api.create_container_from_config(config)["Id"]
            client.api.put_archive(container, PLACE, private_files(launch, user))
            client.api.put_archive(
                container, PLACE, private_tar({"home/.bashrc": _PROMPT}, user.uid, user.gid)
            )
            with launch.folder.source.open("rb") as archive:
                client.api.put_archive(container, PLACE, archive)
            if user.stranger:
                client.api.put_archive(container, PLACE, spool_files(launch, user))
            yield container
        finally:
            if container:
                with deferred_signals(drop=True):
                    try:
                        client.api.remove_container(container, force=True, v=True)
                    except APIError as error:
                        if error.status_code not in (404, 409):  # it goes, or has gone, by itself
                            raise
