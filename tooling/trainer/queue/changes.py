"""Hearing of what can bring an entry on: something was queued or moved, or a run has ended, whoever's."""

from __future__ import annotations

import contextlib
import os
import threading
import time

from trainer.backends import registry
from trainer.errors import TrainerError
from trainer.queue import entries
from trainer.queue import folder as queue_folder
from trainer.workspace import run_folder
from trainer.workspace.settings import Workspace

_LOOK_S = 0.1
_AGAIN_S = 10.0
"""After which an engine is asked again that did not answer."""


class Changes:
    """What has changed since it was asked last. What lies in the workspace is looked at; engines tell."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._told = threading.Event()
        self._listeners: dict[str, threading.Thread] = {}
        self._since: dict[str, float] = {}
        self._seen = self._stamp()
        self._listen()

    def within(self, seconds: float) -> bool:
        """Wait so long, or until something has changed; whether it did."""
        self._listen()
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            is_told = self._told.wait(min(_LOOK_S, left))
            self._told.clear()
            if is_told or self._stamp() != self._seen:
                self._seen = self._stamp()
                return True
        return False

    def _listen(self) -> None:
        """To the backends that entries are for."""
        now = time.monotonic()
        for name in {entry.backend for entry, _ in entries.all_entries(self._workspace)}:
            listener = self._listeners.get(name)
            is_due = now - self._since.get(name, -_AGAIN_S) >= _AGAIN_S
            if is_due and (listener is None or not listener.is_alive()):
                self._since[name] = now
                self._listeners[name] = threading.Thread(target=self._hear, args=(name,), daemon=True)
                self._listeners[name].start()

    def _hear(self, name: str) -> None:
        with contextlib.suppress(TrainerError):
            for _ in registry.named(name, self._workspace).changes():
                self._told.set()

    def _stamp(self) -> tuple[object, ...]:
        runs = run_folder.parent(self._workspace)
        try:
            names = sorted(os.listdir(runs))  # noqa: PTH208 (ten times a second)
        except OSError:
            names = []
        ended = [name for name in names if run_folder.of(self._workspace, name).ended.exists()]
        try:
            changed = queue_folder.of(self._workspace).changed.stat().st_mtime_ns
        except OSError:
            changed = 0
        return changed, names, ended
