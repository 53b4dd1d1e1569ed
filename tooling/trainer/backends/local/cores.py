"""Cores of this machine that one job has for itself, where there is no engine to keep that.

A core is whoever's a socket of its name is bound to, in Linux's abstract namespace: one on the machine,
whatever user and folder. The kernel frees it when the last process that has it is gone; the job inherits it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterable, Iterator

from trainer.errors import InvalidInput
from trainer.host import cores
from trainer.slots import choosing
from trainer.slots.choosing import Holder, Machine
from trainer.slots.need import Need, Slot


class Cores:
    """Those that this process has taken, for jobs that it starts."""

    def __init__(self) -> None:
        self._held: dict[str, list[socket.socket]] = {}

    def take(self, need: Need) -> Slot:
        """A slot with as many. Raises `NoFreeSlot`, and what `check` does."""
        check(need.cpus)
        token, numbers = secrets.token_hex(8), available()
        bound: dict[int, socket.socket] = {}
        for number in numbers:
            if len(bound) < (need.cpus or 0) and (found := _bound(number)):
                bound[number] = found
        others = Holder("other runs", cpus=frozenset(numbers) - frozenset(bound))
        try:
            slot = choosing.choose(need, Machine((), numbers, 0), [others], token)
        except BaseException:
            _close(bound.values())
            raise
        self._held[token] = list(bound.values())
        return slot

    def files(self, slot: Slot | None) -> list[int]:
        """The file descriptors that a job has to inherit, so that it keeps the cores."""
        return [one.fileno() for one in self._held.get(slot.token, ())] if slot else []

    def give_back(self, token: str) -> None:
        """Let go of them; a job that inherited them has them on."""
        _close(self._held.pop(token, ()))


def check(cpus: int | None) -> None:
    """Raises `InvalidInput` for more cores than there are, and for any where there is no binding to them."""
    if cpus is not None and not available():
        raise InvalidInput(
            "--cpus needs Linux: the local backend cannot bind a run to cores here.",
            "Leave it out, or use the docker backend.",
        )
    choosing.check_cpus(cpus, len(available()))


def available() -> tuple[int, ...]:
    """The numbers of the cores that this process may run on."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


@contextlib.contextmanager
def bound(slot: Slot | None) -> Iterator[None]:
    """Within: what this thread starts runs on the slot's cores."""
    if slot is None or not slot.cpus:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.read(slot.cpus))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _bound(number: int) -> socket.socket | None:
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        one.bind(f"\0trainer-cpu-{number}")
    except OSError:
        one.close()
        return None
    return one


def _close(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()
