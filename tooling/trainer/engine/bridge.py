"""The network that containers are on, as the host sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bridge:
    """The host's address on it, and whom it is shared with."""

    gateway: str
    subnet: str
