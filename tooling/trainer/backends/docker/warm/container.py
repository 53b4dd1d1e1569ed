"""Starting a container that stays, and runs in it."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trainkit import mlflow_in_run

from trainer import locks, subprocesses
from trainer.backends.base import Job, Launch, NotWarm, WarmEnded
from trainer.backends.docker import containers
from trainer.backends.docker.config import HOME, OWN, PLACE, container_config, private_files
from trainer.backends.docker.slots import holders
from trainer.backends.docker.warm.job import WarmJob, remove
from trainer.backends.docker.warm.place import LABEL, Place
from trainer.engine import daemon, run_user
from trainer.locks import Lock
from trainer.plan.run_plan import RunPlan
from trainer.projects.mounts import Mount
from trainer.workspace import run_folder
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

_EXCHANGE = f"{PLACE}/warm"
_FORKSERVER = Path(__file__).with_name("forkserver")
# In the container it has a name that no project has.
_NAME = "trainer_forkserver"
# The folders at the end are those that anybody may write to.
_SERVES = (
    *(f"{OWN}/{_NAME}/__main__.py", _EXCHANGE, HOME, f"{OWN}/script.py"),
    *("/tmp", "/var/tmp", "/dev/shm"),  # noqa: S108 (the container's own)
)
_PYTHONS = ("python", "python3")
_IMPORTED_S = 300
_POLL_S, _LOOK_S = 0.01, 1.0
# What no two runs share; everything else of their environment has to be the same.
_OF_ONE_RUN = ("MLFLOW_RUN_ID", mlflow_in_run.VARIABLE)


def start(
    client: docker.DockerClient, workspace: Workspace, plan: RunPlan, launch: Launch, folder: Path
) -> WarmRuns:
    """Create and start it. Raises `NotWarm` and `EngineError`; then nothing of it is left."""
    user = run_user.of(client)
    script = script_of(plan)
    try:
        text = (plan.code.folder / script).read_bytes()
    except OSError as error:
        raise NotWarm(f"{script} cannot be read: {error.strerror}") from None
    if user.stranger:
        raise NotWarm(user.stranger)
    place = Place(folder)
    place.make()
    held = locks.exclusive(place.held)
    name = f"trainer-warm-{uuid.uuid4().hex[:12]}"
    runs = WarmRuns(client, workspace, place, held, name, plan, launch)
    try:
        with daemon.failures():
            mounts = (Mount(str(place.code), f"{PLACE}/code", read_only=False),
                      Mount(str(place.exchange), _EXCHANGE, read_only=False))  # fmt: skip
            config = container_config(
                client,
                replace(
                    plan,
                    command=(plan.command[0], *_SERVES),
                    inputs=replace(plan.inputs, mounts=(*plan.inputs.mounts, *mounts)),
                ),
                replace(launch, environment=_shared(launch), folder=RunFolder(folder)),
                user,
            )
            config["Labels"] = {
                LABEL: str(folder),
                **containers.labels(launch.record, workspace.identity, containers.PARENT_ID),
                **holders.labels(launch.slot, plan.resources.memory),
            }
            client.api.create_container_from_config(config, name)
            modules = {f"{_NAME}/{path.name}": path.read_bytes() for path in _FORKSERVER.glob("*.py")}
            files = {**modules, "script.py": text}
            client.api.put_archive(name, PLACE, private_files(launch, user, others=files))
            client.api.start(name)
    except BaseException:
        runs.close()
        raise
    return runs


def clear(client: docker.DockerClient, parent: Path) -> None:
    """As `WarmBackend.clear_warm`."""
    with daemon.failures():
        found = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    for each in found:
        place = Place(Path(each.labels[LABEL]))
        if place.path.parent == parent and place.occupant() is None and not locks.held(place.held):
            remove(client, str(each.name), place)


def script_of(plan: RunPlan) -> str:
    """The script that the plan's command runs; raises `NotWarm` where it is not `python FILE …`."""
    command = plan.command
    is_script = len(command) > 1 and command[0] in _PYTHONS and not command[1].startswith("-")
    if plan.image.has_entrypoint or not is_script or ".." in PurePosixPath(command[1]).parts:
        raise NotWarm(f"the command is not `python FILE …`: {shlex.join(command)[:80]}")
    if not plan.image.has_trainkit:
        raise NotWarm(f"the image {plan.image.tag} is not trainer's")
    if plan.inputs.downloads:
        raise NotWarm("each run downloads its inputs")
    return command[1]


class WarmRuns:
    """One such container: a `WarmContainer`."""

    def __init__(
        self, client: docker.DockerClient, workspace: Workspace, place: Place, held: Lock, name: str,
        plan: RunPlan, launch: Launch,
    ) -> None:  # fmt: skip
        self._client, self._workspace, self._place, self._held, self._name = (
            client, workspace, place, held, name,
        )  # fmt: skip
        self._plan, self._launch = plan, launch

    def start(self, plan: RunPlan, launch: Launch, before: Callable[[], object]) -> Job:
        """Move the run in, have its process forked."""
        self._check(plan, launch)
        self._see_out()
        place, folder, run_id = self._place, launch.folder, launch.run_id
        place.move_in(run_id, folder, self._name)
        job = WarmJob(self._client, run_id, folder)
        try:
            variables = {name: launch.environment[name] for name in _OF_ONE_RUN}
            order = {"script": plan.command[1], "arguments": plan.command[2:], "environment": variables}
            place.tell("order", json.dumps(order))
            self._wait_for_answer()
            before()  # which may write into the journal
            place.take_journal(folder)
            place.tell("go")
        except BaseException:
            self._withdraw(folder, run_id)
            raise
        return job

    def _check(self, plan: RunPlan, launch: Launch) -> None:
        mine, his = self._plan, plan
        if script_of(his) != script_of(mine) or his.command[0] != mine.command[0]:
            raise NotWarm("its script is another")
        is_alike = (
            launch.image_id == self._launch.image_id
            and his.resources == mine.resources
            and his.inputs.mounts == mine.inputs.mounts
            and launch.network == self._launch.network
            and launch.slot == self._launch.slot
        )
        if not is_alike:
            raise NotWarm("its container would be another: its image, its data or its limits differ")
        variables = {**his.environment.variables, **_shared(launch)}
        others = {**mine.environment.variables, **_shared(self._launch)}
        for name in sorted({*variables, *others}):
            if variables.get(name) != others.get(name):
                raise NotWarm(f"its variable {name} is another")
        secrets = (launch.secret_environment, launch.credentials, launch.outbound)
        if secrets != (self._launch.secret_environment, self._launch.credentials, self._launch.outbound):
            raise NotWarm("its secrets are others")

    def _see_out(self) -> None:
        """Bring what an earlier run has left here into that run's folder."""
        if (earlier := self._place.occupant()) is None:
            return
        folder = run_folder.of(self._workspace, earlier)
        if folder.job_warm.exists() and WarmJob(self._client, earlier, folder).end() is None:
            raise NotWarm("another run has the container")

    def _wait_for_answer(self) -> None:
        """Until the order is accepted. Raises `NotWarm` where it is refused, or will never be answered."""
        give_up, look = time.monotonic() + _IMPORTED_S, 0.0
        while not self._place.is_answered("accepted"):
            if (why := self._refusal()) is not None:
                raise NotWarm(why)
            if time.monotonic() > look:
                look = time.monotonic() + _LOOK_S
                if not self._is_running() or look > give_up:
                    raise WarmEnded("its container has ended, or does not answer")
            subprocesses.raise_deferred()
            time.sleep(_POLL_S)

    def _refusal(self) -> str | None:
        """Why this order, or every one, is refused."""
        if (why := self._place.answer("refused")) is not None:
            return why
        with contextlib.suppress(ValueError):
            said = json.loads(self._place.answer("ready") or "{}")
            return str(said["refused"]) if isinstance(said, dict) and "refused" in said else None
        return None

    def _is_running(self) -> bool:
        from docker.errors import NotFound

        with daemon.failures(), contextlib.suppress(NotFound):
            return bool(self._client.api.inspect_container(self._name)["State"]["Running"])
        return False

    def _withdraw(self, folder: RunFolder, run_id: str) -> None:
        """Take the order back, and the run out, as if it had never been here."""
        self._place.tell("stop")
        give_up = time.monotonic() + _LOOK_S
        while self._place.is_answered("accepted") and not self._place.is_answered("refused"):
            if time.monotonic() > give_up:
                break
            time.sleep(_POLL_S)
        self._place.move_out(run_id, folder)
        folder.job_warm.unlink()
        shutil.rmtree(folder.job_code, ignore_errors=True)

    def close(self) -> None:
        """Remove the container and its folder; what a run has there is brought home first."""
        from docker.errors import APIError

        with daemon.failures(), contextlib.suppress(APIError):
            self._client.api.kill(self._name)
        with contextlib.suppress(NotWarm):
            self._see_out()
        remove(self._client, self._name, self._place)
        self._held.release()


def _shared(launch: Launch) -> dict[str, str]:
    """What is the same for all runs. In a run, MLflow is changed when it is imported."""
    shared = {name: value for name, value in launch.environment.items() if name not in _OF_ONE_RUN}
    return {**shared, mlflow_in_run.VARIABLE: ""}
