"""How long a sweep waits for what is away or in use, and when it tries again."""

from __future__ import annotations

import time
from dataclasses import dataclass

from trainer.errors import NoFreeSlot, TrainerError

_PAUSES_S = (1, 2, 5, 10, 20)
_SLOT_S = 2
_MOST_S = 900.0
"""A server that is restarted is no reason to lose what runs. What others use is waited for without end."""


@dataclass
class Patience:
    """Of one sweep."""

    _failures: int = 0
    _since: float = 0.0
    _until: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether it is too early to try again."""
        return time.monotonic() < self._until

    def failed(self, error: TrainerError) -> bool:
        """Whether that is news. Raises the error where it has lasted for too long."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > _MOST_S and not isinstance(error, NoFreeSlot):
            raise error
        pause = _PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)]
        self._until = now + (min(pause, _SLOT_S) if isinstance(error, NoFreeSlot) else pause)
        self._failures += 1
        return self._failures == 1

    def succeeded(self) -> None:
        """It is there again."""
        self._failures, self._since, self._until = 0, 0.0, 0.0
