"""How long a sweep waits for an engine or a tracking server that is away, before it gives up."""

from __future__ import annotations

import time
from dataclasses import dataclass

_PAUSES_S = (5, 10, 20, 60)
_MOST_S = 900.0


@dataclass
class Patience:
    """A server that is restarted is no reason to lose what runs."""

    _failures: int = 0
    _since: float = 0.0
    _until: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether it is too early to try again."""
        return time.monotonic() < self._until

    def failed(self) -> int | None:
        """After so many seconds one may try again; None where it has failed for too long."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > _MOST_S:
            return None
        pause = _PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)]
        self._failures += 1
        self._until = now + pause
        return pause

    def succeeded(self) -> None:
        """It is there again."""
        self._failures, self._since, self._until = 0, 0.0, 0.0
