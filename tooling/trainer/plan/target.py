"""The backend that a run is planned for: what a plan has to know of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A backend by its name; `isolated` if a run sees only what is mounted into its container."""

    name: str
    isolated: bool
