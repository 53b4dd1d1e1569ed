"""`trainer top`: what the live runs use of the machine, now."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import figures, output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.counted import counted
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from rich.console import RenderableType

    from trainer.errors import TrainerError
    from trainer.host.gpu_use import GpuUse
    from trainer.host.hardware import Hardware
    from trainer.runs.live import LiveRun

_ONCE_S, _EVERY_S = 1.0, 2.0
"""Between the two looks that a use is the difference of: printed once, and in a table that goes on."""
_HEADINGS = ("RUN", "ID", "CPU", "MEMORY", "CORES", "GPUS", "AGE", "PROJECT")
_UUID = len("GPU-12345678")  # enough to tell one from the others
_FEWEST = 4  # columns, however narrow the terminal is


@dataclass(frozen=True)
class Row:
    """A run that goes on."""

    run: LiveRun
    cpu: float | None
    """Cores in use; None where that is not known yet."""
    cores: str
    gpus: tuple[str, ...]
    """As the run has them."""
    gpu_use: Sequence[GpuUse]
    """What is known of them."""


@dataclass(frozen=True)
class Use:
    """What runs, and on what."""

    rows: Sequence[Row]
    gpus: Sequence[GpuUse]
    """Of the machine."""
    machine: Hardware | None
    """None where runs go on on another one."""
    error: TrainerError | None = None
    """Why those of a backend are not known."""
    is_incomplete: bool = False
    """Whether there is one that goes on as far as this workspace knows, and about which nothing is known."""


@click.command(
    short_help="Show what the live runs use of the machine.",
    epilog=examples("trainer top", "trainer top --once", "trainer top --json"),
)
@click.option("--once", is_flag=True, help="Print it once. The default without a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print it once, as JSON.")
@pass_workspace
def top(workspace: Workspace, once: bool, as_json: bool) -> None:
    """Show what runs on which core and GPU, and how much it uses: of all workspaces that use the engine.

    CPU is in percent of one core, as now; CORES are those that a run is bound to. q or Ctrl-C ends it. Of the
    local backend, these are the runs of this workspace. What a GPU does is nvidia-smi's to know, for all that
    use it.
    """
    from trainer.cli.live.line import redraws

    with contextlib.suppress(KeyboardInterrupt):
        if once or as_json or not redraws(sys.stdout):
            _once(workspace, as_json=as_json)
        else:
            _follow(workspace)


def _once(workspace: Workspace, *, as_json: bool) -> None:
    first, _ = _look(workspace)
    if first:
        time.sleep(_ONCE_S)
    use = _use(workspace, first)
    if as_json:
        output.as_json(_as_json(use))
    elif use.rows:
        click.echo(summary(use))
        output.table(_HEADINGS, [cells(row) for row in use.rows], least=_FEWEST)
        for line in gpu_lines(use.gpus):
            click.echo(line)
    else:
        click.echo("No live runs.")
    if use.error:
        if use.is_incomplete:
            raise use.error
        click.echo(use.error.message, err=True)


def _follow(workspace: Workspace) -> None:
    from rich.console import Console
    from rich.live import Live

    from trainer.cli.live import keys
    from trainer.cli.streams import drawn_on

    console = Console(file=drawn_on(sys.stdout), highlight=False)
    before, _ = _look(workspace)
    wait_s = _ONCE_S
    with Live(console=console, screen=True, auto_refresh=False) as live, keys.pressed() as key:
        live.update("Looking …", refresh=True)
        while key(wait_s) not in ("q", "Q"):
            use = _use(workspace, before)
            live.update(screen(use, console.width), refresh=True)
            before, wait_s = [row.run for row in use.rows], _EVERY_S


def _look(workspace: Workspace) -> tuple[list[LiveRun], TrainerError | None]:
    from trainer.runs import live

    return live.runs(workspace, of_all=True)


def _use(workspace: Workspace, before: Sequence[LiveRun]) -> Use:
    from trainer.engine import daemon
    from trainer.errors import EngineError
    from trainer.host import gpu_use, hardware

    now, error = _look(workspace)
    try:
        is_here = not daemon.is_remote(daemon.endpoint())
    except EngineError:
        is_here = True
    gpus = gpu_use.now() if is_here else []
    machine = hardware.this_machine() if is_here else None
    is_incomplete = any(run.state == "unknown" and run.record.is_here for run in now)
    return Use(rows(before, now, gpus), gpus, machine, error, is_incomplete)


def rows(before: Sequence[LiveRun], now: Sequence[LiveRun], gpus: Sequence[GpuUse]) -> list[Row]:
    """A row for each run that goes on, the oldest first; what it uses is what it has used since `before`."""
    from trainer.host import gpu_use

    earlier = {run.record.run_id: run.job for run in before}
    found = []
    for run in sorted(now, key=lambda run: run.record.started):
        if run.job is None or run.state != "running":
            continue
        previous = earlier.get(run.record.run_id)
        rate = run.job.rate_since(previous) if previous else None
        found.append(Row(run, rate, run.job.cores, run.job.gpus, gpu_use.of(run.job.gpus, gpus)))
    return found


def summary(use: Use) -> str:
    """All runs together: `2 runs: CPU 187% of 800%, memory 3.1 GB of 62.8 GB`."""
    cpu = f"{sum(row.cpu or 0 for row in use.rows):.0%}"
    memory = figures.size(sum(row.run.memory or 0 for row in use.rows))
    if use.machine and use.machine.cpus and use.machine.memory:
        cpu, memory = f"{cpu} of {use.machine.cpus:.0%}", f"{memory} of {figures.size(use.machine.memory)}"
    return f"{counted(len(use.rows), 'run')}: CPU {cpu}, memory {memory}"


def cells(row: Row) -> list[str]:
    """The row's texts below `_HEADINGS`."""
    record = row.run.record
    return [
        printable.line(record.name),
        record.run_id[:8],
        "" if row.cpu is None else f"{row.cpu:.0%}",
        "" if row.run.memory is None else figures.size(row.run.memory),
        printable.line(row.cores) or "all",
        printable.line(_gpus(row)),
        figures.ago(time.time() - record.started),
        printable.line(record.project),
    ]


def _gpus(row: Row) -> str:
    if not row.gpu_use:
        return ", ".join(name[:_UUID] for name in row.gpus)
    return ", ".join(one.index + ("" if one.busy is None else f" ({one.busy}%)") for one in row.gpu_use)


def gpu_lines(gpus: Sequence[GpuUse]) -> list[str]:
    """A line for each GPU of the machine: `GPU 0  NVIDIA H200  87%  23.1 GB of 139.8 GB`."""
    return [
        "  ".join(
            (
                f"GPU {one.index}",
                printable.line(one.name),
                "" if one.busy is None else f"{one.busy}%",
                "" if one.memory is None or one.total is None
                else f"{figures.size(one.memory)} of {figures.size(one.total)}",
            )
        ).rstrip()
        for one in gpus
    ]  # fmt: skip


def screen(use: Use, width: int) -> RenderableType:
    """The whole screen of a terminal that is so many columns wide."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    shown = [cells(row) for row in use.rows]
    count = output.fitting(_HEADINGS, shown, _FEWEST, width)
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for name in _HEADINGS[:count]:
        justify = "right" if name in ("CPU", "MEMORY") else "left"
        table.add_column(name, no_wrap=True, overflow="ellipsis", justify=justify)  # type: ignore[arg-type]
    for line in shown:
        table.add_row(*(Text(cell) for cell in line[:count]))
    head = Text(
        summary(use) if use.rows else "No live runs.", style="bold", no_wrap=True, overflow="ellipsis"
    )
    lines: list[RenderableType] = [head, Text("q or Ctrl-C ends it", style="dim"), Text()]
    if use.rows:
        lines.append(table)
    if use.gpus:
        lines += [Text(), *(Text(line) for line in gpu_lines(use.gpus))]
    if use.error:
        lines += [Text(), Text(printable.line(use.error.message), style="yellow")]
    return Group(*lines)


def _as_json(use: Use) -> dict[str, object]:
    return {
        "cores": use.machine.cpus if use.machine else None,
        "memory_bytes": use.machine.memory if use.machine else None,
        "gpus": [
            {"index": one.index, "uuid": one.uuid, "name": one.name, "busy_percent": one.busy,
             "memory_bytes": one.memory, "total_bytes": one.total}
            for one in use.gpus
        ],
        "runs": [
            {"run_id": row.run.record.run_id, "name": row.run.record.name, "project": row.run.record.project,
             "backend": row.run.record.backend, "started": round(row.run.record.started, 3),
             "cpu_percent": None if row.cpu is None else round(100 * row.cpu, 1),
             "memory_bytes": row.run.memory, "cores": row.cores or None, "gpus": list(row.gpus)}
            for row in use.rows
        ],
    }  # fmt: skip
