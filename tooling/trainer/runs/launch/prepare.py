"""All that is looked at and made ready before a run exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainer.backends import registry
from trainer.backends.base import Backend
from trainer.backends.docker import reachability
from trainer.datasets.inputs import Data
from trainer.errors import InvalidInput, TrainerError
from trainer.masking import Masker
from trainer.plan import exec_size
from trainer.plan.request import secret_values
from trainer.plan.run_plan import RunPlan
from trainer.progress import Steps
from trainer.server import process, selection, start
from trainer.slots.need import Slot
from trainer.source.snapshot import Commit
from trainer.tracking import outbound, server_version
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server
from trainer.tracking.outbound import Outbound
from trainer.workspace import secrets
from trainer.workspace.secrets import Secrets
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class PackedCode:
    """The code of many runs, packed once: what becomes of the project's folder meanwhile is not theirs."""

    archive: Path
    digest: str
    commit: Commit | None
    moved: Mapping[str, str] = field(default_factory=dict)
    """Of files of it that the plan names where they lie now: where they were in the project's folder."""


@dataclass(frozen=True)
class PreparedLaunch:
    """Everything is there for the run to be made."""

    workspace: Workspace
    plan: RunPlan
    backend: Backend
    client: Client
    own_server: bool
    image_id: str
    masker: Masker
    secret_environment: Mapping[str, str] = field(repr=False)
    offline: bool = False
    data: tuple[Data, ...] = ()
    outbound: Outbound = field(default=Outbound(), repr=False)
    """What of this machine's way out the job has."""
    remarks: tuple[str, ...] = ()
    """What the user should know before the run starts."""
    slot: Slot | None = None
    """What the run has for itself of the machine: claimed by who starts it, right before that."""
    code: PackedCode | None = None
    """Instead of what is in the project's folder when a run is made."""

    def for_plan(self, plan: RunPlan, screen: Steps) -> PreparedLaunch:
        """The same for another plan, with other parameters."""
        is_same = plan.inputs.data == self.plan.inputs.data
        return replace(self, plan=plan, data=self.data if is_same else _data(self.workspace, plan, screen))


def connect(workspace: Workspace, backend: Backend, loaded: Secrets, uri: str | None) -> tuple[Client, bool]:
    """A client of the tracking server that was chosen, and whether it is the workspace's own process.

    That one may still be on its way (`process.wait`); another one has answered already.
    """
    chosen = selection.chosen(workspace, loaded, uri)
    if chosen is None:
        own = process.begin(workspace, backend.bridge())
        backend.reachable_uri(own)
        return Client(own), True
    backend.reachable_uri(chosen)
    server = start.revive(workspace, chosen)
    client = Client(start.for_containers(server) if backend.isolated else server)
    reachability.from_host(client)
    return client, False


def _unasked(workspace: Workspace, loaded: Secrets, uri: str | None) -> tuple[Client, bool]:
    """As `connect`, for a server that nobody is to ask yet."""
    chosen = selection.named(workspace, loaded, uri)
    if chosen is None:
        return Client(Server(f"http://127.0.0.1:{workspace.settings.server_port}")), True
    return Client(chosen), False


def check(workspace: Workspace, plan: RunPlan, *, offline: bool = False) -> tuple[Secrets, dict[str, str]]:
    """The secrets, and the variables with those that the project needs.

    Raises `TrainerError` for the first thing that is known to be in the way without asking anybody.
    """
    if offline and not plan.image.has_trainkit:
        raise InvalidInput(
            f"--offline: {plan.image.tag} has no trainkit, which keeps what a run logs.",
            "Run with a tracking server, or in a trainer image: --image NAME",
        )
    loaded = secrets.load(workspace)
    secret_environment = secret_values(
        plan, {name: loaded.get(name) for name in plan.environment.secret_names}
    )
    exec_size.check(plan, secret_environment)
    return loaded, secret_environment


def refusal(workspace: Workspace, plan: RunPlan, *, offline: bool = False) -> TrainerError | None:
    """What a launch of the plan would be refused for before anything is built or a server is asked.

    `EngineUnavailable` where that is for the engine to say, and it does not answer.
    """
    try:
        check(workspace, plan, offline=offline)
        registry.named(plan.backend, workspace).check(plan)
    except TrainerError as error:
        return error
    return None


def prepare(
    workspace: Workspace,
    plan: RunPlan,
    screen: Steps,
    tracking_uri: str | None,
    *,
    goes_on: bool = False,
    offline: bool = False,
) -> PreparedLaunch:
    """Check and make ready all that a run needs; `goes_on` for one that has begun already.

    Raises `TrainerError` for the first thing that would spoil the run; nothing of it exists then.
    """
    loaded, secret_environment = check(workspace, plan, offline=offline)
    backend = registry.named(plan.backend, workspace)
    screen.step(f"Connecting to the {plan.backend} backend")
    backend.connect()
    backend.check(plan)
    if offline:
        client, own = _unasked(workspace, loaded, tracking_uri)
    else:
        screen.step("Connecting to the tracking server")
        client, own = connect(workspace, backend, loaded, tracking_uri)
    screen.step(f"Preparing the image {plan.image.tag}")
    image_id = plan.image_id or backend.prepare(plan.image, screen)
    if plan.resources.gpus != "none":
        screen.step("Looking at the GPUs")
    backend.preflight(plan)
    if own and not offline:
        process.wait(workspace, client.server)
    if not offline:
        screen.step("Asking the tracking server as the run will")
        backend.reach(plan, image_id, client.server)
    outbound_settings = outbound.of(loaded)
    usable = backend.outbound(outbound_settings, client.server)
    # A run that goes on keeps what it recorded when it began.
    data = () if goes_on else _data(workspace, plan, screen)
    return PreparedLaunch(
        workspace,
        plan,
        backend,
        client,
        own,
        image_id,
        # Read again: the own server's password may have been made meanwhile.
        Masker(secrets.read(workspace).masked(plan.environment.secret_names)),
        secret_environment,
        offline,
        data,
        outbound=usable.without(*plan.environment.variables),
        remarks=(
            *outbound.remarks(outbound_settings, usable),
            *_version_remarks(plan, client, is_asked=not (own or offline)),
        ),
    )


def _version_remarks(plan: RunPlan, client: Client, *, is_asked: bool) -> tuple[str, ...]:
    if plan.image.has_trainkit or not is_asked:
        return ()
    remark = server_version.remark(client.server, client.version())
    return (remark,) if remark else ()


def _data(workspace: Workspace, plan: RunPlan, screen: Steps) -> tuple[Data, ...]:
    if not plan.inputs.data:
        return ()
    from trainer.datasets import recorded

    return recorded.take(workspace, plan.inputs.data, screen, plan.inputs.mounts)
