"""The serving file may name another model at any time: that is loaded, has answered once, then takes over."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trainkit.errors import InputError
from trainkit.inference import interface, serving_file
from trainkit.inference.predictor import Model, Predictor
from trainkit.inference.serving_file import Entry, ServingFile

from model_server.asking import Asking
from model_server.served import Served

_LOOK_S = 1
_BEING_WRITTEN = 3
"""As often in a row a file that cannot be read is one."""


@dataclass(frozen=True)
class Watch:
    """The serving file, and how a model is opened that it names, with so many threads."""

    path: Path
    threads: int | None = None
    opened: Callable[..., Model] = Predictor.open


class Watching:
    """Has the model of the serving file answer. A file that cannot be used leaves the one that answers."""

    def __init__(self, asking: Asking, watch: Watch) -> None:
        self._asking, self._watch = asking, watch
        self._heeded: ServingFile | None = None
        self._unreadable = 0

    async def work(self) -> None:
        """Look each second, until this is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Heed what the file says, if it says something else than before."""
        try:
            wanted = serving_file.read(self._watch.path)
        except InputError as error:
            self._unreadable += 1
            if self._unreadable == _BEING_WRITTEN:
                self._heeded = None
                self._report(error.message)
            return
        self._unreadable = 0
        if wanted != self._heeded:
            self._heeded = wanted
            self._report(await self._heed(wanted))

    def _report(self, problem: str) -> None:
        if problem and problem != self._asking.problem:
            print(f"Error: {problem}", file=sys.stderr, flush=True)
        self._asking.report(problem)

    async def _heed(self, wanted: ServingFile) -> str:
        """What is wrong with it."""
        problems = [await self._tried(wanted.model, self._serve)]
        if wanted.shadow:
            problems.append(await self._tried(wanted.shadow, self._overshadow))
        else:
            self._asking.overshadow(None)
        return "\n".join(filter(None, [*problems, *(refusal.why for refusal in wanted.refused)]))

    async def _tried(self, entry: Entry, use: Callable[[Entry], Awaitable[None]]) -> str:
        try:
            await use(entry)
        except Exception as error:  # noqa: BLE001 (whatever a file leads to, the model before it goes on)
            why = error.message if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            return f"{entry.called or entry.file} is not served: {why}"
        return ""

    async def _serve(self, entry: Entry) -> None:
        present = self._asking.served
        if entry.file == present.entry.file:
            self._asking.serve(present.named(entry))
            return
        self._asking.serve(await self._loaded(entry, self._watch.threads))
        print(f"{entry.called} takes the place of {present.entry.called}.", file=sys.stderr, flush=True)

    async def _overshadow(self, entry: Entry) -> None:
        present = self._asking.shadow
        if present and entry.file == present.served.entry.file:
            self._asking.overshadow(present.served.named(entry))
            return
        self._asking.overshadow(await self._loaded(entry, threads=1))
        print(f"{entry.called} is the shadow.", file=sys.stderr, flush=True)

    async def _loaded(self, entry: Entry, threads: int | None) -> Served:
        """The model, which takes and answers what the present one does, and has answered once."""
        present, path = self._asking.served, self._watch.path.with_name(entry.file)
        predictor = await asyncio.to_thread(partial(self._watch.opened, path, threads=threads))
        if what := interface.difference(present.predictor.description, predictor.description):
            raise InputError(f"{what}.", "Serve it beside this one, and tell those who ask it.")
        served = present.succeeded_by(predictor, entry)
        await asyncio.to_thread(served.warm_up)
        return served
