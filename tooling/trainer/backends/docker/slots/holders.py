"""Who has something of the machine now: slots that were claimed, and the containers of runs.

A slot is somebody's while the process that claimed it lives, or a run's container that has its token; when
that container has ended, it is nobody's, though the process may need a moment to give it back. What
a running run's container says of itself is believed without its slot too: `docker container prune` removes
slots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict, cast

from trainer import printable
from trainer.backends.docker import containers
from trainer.engine import daemon
from trainer.host import cores, living
from trainer.plan.limits import bytes_of
from trainer.slots.choosing import Holder
from trainer.slots.need import Slot

if TYPE_CHECKING:
    import docker

LOCK = "trainer-slots"
"""The name that whoever decides has its container under."""
TOKEN = "trainer.slot"  # noqa: S105 (of a slot; it opens nothing)
"""The label of all containers that have something: slots, and what runs with them."""
_OWNER, _GPUS, _CPUS, _MEMORY = "trainer.slot.owner", "trainer.gpus", "trainer.cpus", "trainer.memory"
_ALIVE = ("running", "paused", "restarting")
# How long a slot is believed of whom it cannot be known whether it lives: its process is another machine's.
_BELIEVED_S = 600


class _Listed(TypedDict):
    Id: str
    Names: list[str]
    Labels: dict[str, str] | None
    State: str
    Created: int


@dataclass(frozen=True)
class Seen:
    """Who has something, and the ids of containers that have nothing any more."""

    holders: tuple[Holder, ...]
    stale: tuple[str, ...]
    """Slots that are nobody's."""
    unstarted: tuple[str, ...]
    """Containers of runs whose launcher died before they started. The engine may be starting one: a request
    outlives who made it."""


def labels(slot: Slot | None, memory: str | None = None) -> dict[str, str]:
    """The labels of a container that has the slot, made by this process.

    `memory` is what it may use at most, where no slot reserves any.
    """
    if slot is None and memory is None:
        return {}
    return {
        TOKEN: slot.token if slot else "",
        _OWNER: living.this_process(),
        _GPUS: ",".join(slot.gpus) if slot else "",
        _CPUS: slot.cpus if slot else "",
        _MEMORY: (slot.memory if slot else None) or memory or "",
    }


def owner(labels_: Mapping[str, str]) -> str:
    """The process that made the container with these labels: see `living.is_alive`."""
    return labels_.get(_OWNER, "")


def token(labels_: Mapping[str, str]) -> str:
    """Of the slot that a container with these labels has; empty without one."""
    return labels_.get(TOKEN, "")


def seen(client: docker.DockerClient, *, but: str = "") -> Seen:
    """All that have something, as of now. Whoever just decides does not yet; nor does the token `but`."""
    with daemon.failures():
        listed = cast(list[_Listed], client.api.containers(all=True, filters={"label": TOKEN}))
    listed = [one for one in listed if f"/{LOCK}" not in one["Names"]]
    over = {_labels(one)[TOKEN] for one in listed if one["State"] not in ("created", *_ALIVE)}
    alive = [
        one
        for one in listed
        if not (_is_slot(one) and _labels(one)[TOKEN] in over) and _is_alive(client, one)
    ]
    tokens = {_labels(one)[TOKEN] for one in alive}
    # A run comes before its slot: it has a name.
    by_token: dict[str, list[_Listed]] = {}
    for one in sorted(alive, key=_is_slot):
        by_token.setdefault(_labels(one)[TOKEN] or one["Id"], []).append(one)
    return Seen(
        holders=tuple(_holder(together) for token, together in by_token.items() if token != but),
        stale=tuple(
            one["Id"] for one in listed if _is_slot(one) and _labels(one)[TOKEN] not in tokens | {but}
        ),
        unstarted=tuple(
            one["Id"]
            for one in listed
            if one["State"] == "created" and containers.RUN_ID in _labels(one) and one not in alive
        ),
    )


def _labels(one: _Listed) -> Mapping[str, str]:
    return one["Labels"] or {}


def _is_slot(one: _Listed) -> bool:
    """Whether it is nothing but a slot."""
    return one["State"] == "created" and containers.RUN_ID not in _labels(one)


def _is_alive(client: docker.DockerClient, one: _Listed) -> bool:
    if one["State"] != "created":
        return one["State"] in _ALIVE
    alive = living.is_alive(owner(_labels(one)))
    if alive is not None:
        return alive
    with daemon.failures():  # by the engine's own clock
        now = datetime.fromisoformat(str(client.info()["SystemTime"])).timestamp()
    return now - one["Created"] < _BELIEVED_S


def _holder(together: list[_Listed]) -> Holder:
    """The slot and what runs with it are one."""
    first = _labels(together[0])
    number, name = first.get(containers.RUN_ID, ""), first.get(containers.RUN_NAME, "")
    if number:
        who = " ".join(filter(None, [name, f"({number[:8]})"]))
    else:
        who = f"the sweep {name}" if containers.PARENT_ID in first else "a run that is about to start"
    return Holder(
        printable.line(who),
        frozenset(uuid for one in together for uuid in _labels(one).get(_GPUS, "").split(",") if uuid),
        frozenset(number for one in together for number in _cores(_labels(one).get(_CPUS, ""))),
        max(_bytes(_labels(one).get(_MEMORY, "")) for one in together),
    )


# Anybody can give containers labels.
def _cores(text: str) -> tuple[int, ...]:
    try:
        return cores.read(text)
    except ValueError:
        return ()


def _bytes(text: str) -> int:
    try:
        return bytes_of(text) if text else 0
    except (ValueError, KeyError):
        return 0
