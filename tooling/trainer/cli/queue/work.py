"""`trainer queue work`, and what a process in the background does of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.live.progress import Progress
from trainer.counted import counted
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.queue.work import Pass
    from trainer.tracking.client import Run


@click.command(
    short_help="Start what waits, in the foreground.", epilog=examples("trainer queue work --until-empty")
)
@click.option("--until-empty", is_flag=True, help="End when nothing waits or runs any more.")
@pass_workspace
def work(workspace: Workspace, until_empty: bool) -> None:
    """Start each entry when its turn comes, and say so, until Ctrl-C.

    It is not needed: what is queued starts by itself. The runs that it starts are detached: they go on when
    it ends.
    """
    from trainer.errors import Interrupted
    from trainer.queue import work as use_case
    from trainer.subprocesses import interruptible

    try:
        with interruptible(), _Screen() as screen:
            told = _Told(workspace, screen)
            screen.step("Looking at the queue")

            def goes_on(looked: Pass) -> bool:
                told.tell()
                return not until_empty or looked.waits or looked.runs

            use_case.keep_starting(workspace, screen, goes_on)
    except Interrupted as interrupted:
        interrupted.hint = "What waits stays in the queue. The runs that it started go on: trainer ps"
        raise


@click.command(hidden=True)
@pass_workspace
def attend(workspace: Workspace) -> None:
    """Start what waits until nothing does: what other commands have running in the background."""
    from trainer.queue import work as use_case
    from trainer.subprocesses import interruptible

    with interruptible():
        use_case.attend(workspace, _Quiet())


class _Screen(Progress):
    """What is done now, of whatever run that is started."""

    def started(self, run: Run) -> None:
        """Nothing: `_Told` says it."""


class _Told:
    """What was said of the entries, whoever has started them."""

    def __init__(self, workspace: Workspace, screen: Progress) -> None:
        self._workspace = workspace
        self._screen = screen
        self._running: dict[str, str] = {}
        self._halted: dict[str, str] = {}

    def tell(self) -> None:
        """Say what has begun and ended since the last time, and what is waited for where that is new."""
        from trainer.queue import entries, listing

        titles = {entry.id: entry.title for entry, _ in entries.all_entries(self._workspace)}
        running = listing.running(self._workspace)
        ended = entries.ended(self._workspace)
        for entry_id in self._running.keys() - running.keys():
            if entry_id in ended:
                self._say(f"{self._running[entry_id]}: {ended[entry_id].end}")
        for entry_id, run_id in running.items():
            if entry_id not in self._running:
                self._say(f"{titles.get(entry_id, entry_id)} has begun: {run_id}")
        self._running = {entry_id: titles.get(entry_id, entry_id) for entry_id in running}
        halted = {
            each.entry.id: f"{each.entry.title} {'is held' if each.state == 'held' else 'waits'}: {each.why}"
            for each in listing.halted(self._workspace)
        }
        for entry_id, line in halted.items():
            if self._halted.get(entry_id) != line:
                self._screen.remark(line)
        self._halted = halted
        waiting = listing.count(self._workspace)
        self._screen.step(f"{waiting} waiting, {counted(len(running), 'run')} going on")

    def _say(self, line: str) -> None:
        self._screen.output(f"{line}\n".encode())


class _Quiet:
    """Where a launch shows what it does that nobody looks at: remarks alone are kept."""

    def step(self, text: str) -> None:
        """Nothing."""

    def part(self, text: str, count: str = "") -> None:
        """Nothing."""

    def detail(self, line: str) -> None:
        """Nothing."""

    def started(self, run: Run) -> None:
        """Nothing."""

    def output(self, piece: bytes) -> None:
        """Nothing."""

    def remark(self, text: str) -> None:
        """On stderr."""
        output.tell(text)
