"""What came of copying, and what is said of that which did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from trainer.errors import TrackingError
from trainer.tracking.client import Client
from trainer.tracking.failures import Unreachable


class Bar(Protocol):
    """Is told how far it is."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """So many of the step's items are done."""


@dataclass(frozen=True)
class Omission:
    """Something that the other server has not, or not like that."""

    where: str
    what: str
    why: str

    def __str__(self) -> str:
        """In words."""
        return f"{self.where}: {self.what}: {self.why}"


@dataclass
class Report:
    """How many of each kind there are on the first server, and of them equal on the other one."""

    there: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    """What this call has brought."""
    told: list[Omission] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What is as somebody wanted it, and should be known."""

    def compared(self, kind: str, expected: int, equal: int) -> None:
        """So many of a kind were compared."""
        self.there[kind] += expected
        self.equal[kind] += equal

    def tell(self, where: str, what: str, why: TrackingError | str) -> None:
        """Say of something that it is missing, or different."""
        self.told.append(Omission(where, what, why if isinstance(why, str) else why.message))

    def attempt(self, client: Client, where: str, what: str, call: Callable[[], object]) -> None:
        """Make a call, and say if it is refused."""
        error = refused(client, call)
        if error:
            self.tell(where, what, error)


def refused(client: Client, call: Callable[[], object]) -> TrackingError | None:
    """Make a call that may be refused; why it was. Raises if the server is away or lets nobody in."""
    try:
        call()
    except Unreachable:
        raise
    except TrackingError as error:
        client.check()  # it has to be this request alone
        return error
    return None
