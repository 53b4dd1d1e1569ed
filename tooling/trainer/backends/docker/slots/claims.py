"""Taking slots, and giving them back."""

from __future__ import annotations

import contextlib
import random
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, TypedDict, cast

from trainer.backends.docker.slots import holders
from trainer.engine import daemon
from trainer.errors import NoFreeSlot
from trainer.host import living
from trainer.slots import choosing
from trainer.slots.choosing import Machine
from trainer.slots.need import Need, Slot
from trainer.subprocesses import deferred_signals

if TYPE_CHECKING:
    import docker

_DECIDES_S = 30  # whoever decides for longer is taken for dead
_PAUSE_S = 0.01, 0.04


class _Config(TypedDict):
    Labels: dict[str, str] | None


class _Inspected(TypedDict):
    Id: str
    Config: _Config


def take(client: docker.DockerClient, need: Need, image_id: str, machine: Machine) -> Slot:
    """A slot of the machine. Raises what `choosing.choose` does, and `EngineError`."""
    token = secrets.token_hex(8)
    while True:
        slot = choosing.choose(need, machine, holders.seen(client).holders, token)
        if _take(client, slot, image_id, machine.memory):
            return slot


def give_back(client: docker.DockerClient, token: str) -> None:
    """Remove the slot. Safe to call twice. Raises `EngineError`."""
    daemon.is_removed(partial(_remove, client, name(token)))


def confirm(client: docker.DockerClient, slot: Slot, image_id: str, memory: int) -> None:
    """Raises `NoFreeSlot` where somebody else has taken it meanwhile, believing that nobody had it.

    To be called when the container that has it is created, and before that is started: who takes it after
    this call sees that container.
    """
    from docker.errors import NotFound

    with daemon.failures(), contextlib.suppress(NotFound):
        client.api.inspect_container(name(slot.token))
        return
    if not _take(client, slot, image_id, memory):
        raise NoFreeSlot(
            "What the run had for itself of the machine was given to another one before it started.",
            "The same command asks for it again.",
        )


def name(token: str) -> str:
    """What a slot's container is called."""
    return f"trainer-slot-{token}"


def _take(client: docker.DockerClient, slot: Slot, image_id: str, memory: int) -> bool:
    """Take exactly that, if nobody else has a part of it."""
    container = _create(client, slot, image_id)
    try:
        seen = holders.seen(client, but=slot.token)
        for unstarted in seen.unstarted:  # not by force: one that is being started runs, and is seen now
            daemon.is_removed(partial(_remove, client, unstarted, force=False))
        for stale in seen.stale:  # by its id: a later one of its name is another's
            daemon.is_removed(partial(_remove, client, stale))
        if seen.unstarted or seen.stale:  # one of them may have got a run in between, which is seen now
            seen = holders.seen(client, but=slot.token)
        if choosing.conflicts(slot, memory, seen.holders):
            _give_up(client, container)
            return False
        return _named(client, container, name(slot.token))
    except BaseException:
        _give_up(client, container)
        raise


def _named(client: docker.DockerClient, container: str, name: str) -> bool:
    """Whether it has the name now; not so where it is gone: somebody took us for dead."""
    from docker.errors import NotFound

    with daemon.failures():
        try:
            client.api.rename(container, name)
        except NotFound:
            return False
    return True


def _give_up(client: docker.DockerClient, container: str) -> None:
    with deferred_signals(drop=True):
        daemon.is_removed(partial(_remove, client, container))


def _create(client: docker.DockerClient, slot: Slot, image_id: str) -> str:
    """The slot's container, under the name of whoever decides: waits until it is to be had."""
    from docker.errors import APIError

    labels, in_the_way, since = holders.labels(slot), "", 0.0
    host = client.api.create_host_config(network_mode="none")
    with daemon.failures():
        while True:
            try:
                with deferred_signals():
                    created = client.api.create_container(
                        image_id, ["true"], name=holders.LOCK, labels=labels, host_config=host
                    )
                    return str(created["Id"])
            except APIError as error:
                if error.status_code != 409 and "in use" not in str(error):
                    raise
            found, owner = _decider(client)
            if found != in_the_way:
                in_the_way, since = found, time.monotonic()
            is_dead = living.is_alive(owner) is False or time.monotonic() - since > _DECIDES_S
            if found and is_dead:
                daemon.is_removed(partial(_remove, client, found))
            else:
                time.sleep(random.uniform(*_PAUSE_S))  # noqa: S311 (no secret)


def _decider(client: docker.DockerClient) -> tuple[str, str]:
    """The id and the owner of the container that decides; nothing if there is none now."""
    from docker.errors import NotFound

    try:
        found = cast(_Inspected, client.api.inspect_container(holders.LOCK))
    except NotFound:
        return "", ""
    return found["Id"], holders.owner(found["Config"]["Labels"] or {})


def _remove(client: docker.DockerClient, container: str, *, force: bool = True) -> None:
    client.api.remove_container(container, force=force, v=True)
