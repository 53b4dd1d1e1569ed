"""A sweep that goes on: a table in a terminal, and lines elsewhere. Both are made of a `SweepView`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from trainer import printable
from trainer.cli import figures
from trainer.cli.sweep.trials import COLOURS, counts

if TYPE_CHECKING:
    from rich.text import Text

    from trainer.sweeps.report import SweepView, TrialView

_CURVE, _SHORT_CURVE = 12, 6
_WIDE = 76
"""From so many columns on, curves are long."""
_HEAD = 3
"""Lines above the trials."""
_HEADING = 12
"""A longer one is cut."""
_GAP = 2
"""Between columns."""


def lines(view: SweepView, columns: int, rows: int, now: float) -> list[str]:
    """The table, as a terminal shows it: at most `rows` lines of at most so many columns.

    What goes on comes first, then the best trials, then what has ended last.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    curve = _CURVE if columns >= _WIDE else _SHORT_CURVE
    chosen = _chosen(view, max(rows - _HEAD, 1))
    # Right-aligned are what is compared digit by digit.
    metric = _cut(printable.line(_metric(view)), _HEADING)
    headings = [("TRIAL", True), ("STATE", False), (metric, True), ("", False), ("TOOK", True)]
    body = [_cells(view, trial, curve, now) for trial in chosen]
    left = columns - sum(_widths([name for name, _ in headings], body)) - _GAP * (len(headings) - 1)
    for name in view.searched:
        values = [printable.line(figures.rounded(trial.values.get(name, ""))) for trial in chosen]
        widest = max(map(len, values), default=0)
        heading = _cut(printable.line(name), max(widest, _HEADING))
        width = max(widest, len(heading)) + _GAP
        if width <= left:
            left -= width
            headings.append((heading, True))
            body = [[*cells, value] for cells, value in zip(body, values, strict=True)]
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name, is_right in headings:
        justify: Literal["right", "left"] = "right" if is_right else "left"
        table.add_column(Text(name), justify=justify, no_wrap=True, overflow="ellipsis")
    for cells in body:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))  # no markup
    written = io.StringIO()
    console = Console(file=written, width=columns, force_terminal=True, highlight=False)
    console.print(_head(view), no_wrap=True, overflow="ellipsis")
    console.print(_best(view), no_wrap=True, overflow="ellipsis")
    if view.trials:
        console.print(table)
    return [line.rstrip() for line in written.getvalue().splitlines()]


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> list[int]:
    from rich.cells import cell_len

    columns = zip(headings, *rows, strict=True)
    return [
        max(cell_len(cell if isinstance(cell, str) else cell.plain) for cell in column) for column in columns
    ]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def changes(before: SweepView | None, after: SweepView) -> list[str]:
    """A line for each run of a trial that has begun since, and for each trial that has ended.

    Without `before` it is the first look: what had ended by then is nothing new.
    """
    said: list[str] = []
    for trial in after.trials:
        earlier = before.trial(trial.number) if before else None
        if trial.state == "running":
            # At the first look the earlier runs of a trial are nothing new either.
            known = earlier.run_ids if earlier else () if before else trial.run_ids[:-1]
            begun = [run_id for run_id in trial.run_ids if run_id not in known]
            said += [f"Trial {trial.number} started: {_values(trial)} ({run_id[:8]})" for run_id in begun]
        elif before and (earlier is None or earlier.state == "running"):
            said.append(_ended(after, trial, is_better=after.best != before.best))
    return [printable.line(line) for line in said]


def _ended(view: SweepView, trial: TrialView, *, is_better: bool) -> str:
    took = figures.duration(trial.took_s)
    after = f" after {took}" if took else ""
    results = ", ".join(
        f"{objective.metric} {figures.metric(value)}"
        for objective, value in zip(view.objectives, trial.results, strict=False)
    )
    of = f" of {view.total}" if view.total else ""
    best = ", the best so far" if is_better and trial.number in view.best else ""
    what = results or trial.why
    return (
        f"Trial {trial.number} {trial.state}{after}{f': {what}' if what else ''}{best} ({view.done}{of} done)"
    )


def _metric(view: SweepView) -> str:
    return view.objectives[0].metric if view.objectives else ""


def _values(trial: TrialView) -> str:
    return " ".join(f"{name}={figures.rounded(value)}" for name, value in trial.values.items())


def _head(view: SweepView) -> Text:
    """`12 of 20 trials done, about 4 min left  9 finished, 2 pruned, 1 failed`."""
    from rich.text import Text

    of = f" of {view.total}" if view.total else ""
    text = Text()
    text.append(f"{view.done}{of} trials done", style="bold")
    if view.eta_s is not None:
        text.append(f", about {figures.ago(max(view.eta_s, 1))} left")
    return text.append(f"  {counts(view)}", style="dim") if view.trials else text


def _best(view: SweepView) -> Text:
    from rich.text import Text

    found = view.best_trials
    if not found:
        return Text("no best trial yet", style="dim")
    if len(found) > 1:
        numbers = ", ".join(str(trial.number) for trial in found)
        return Text(f"best  trials {numbers}: none beats another in all metrics", style="green")
    results = "  ".join(
        f"{printable.line(objective.metric)} {figures.metric(value)}"
        for objective, value in zip(view.objectives, found[0].results, strict=False)
    )
    text = Text(f"best  trial {found[0].number}  {results}", style="green")
    return text.append(f"  {printable.line(_values(found[0]))}", style="default")


def _chosen(view: SweepView, room: int) -> Sequence[TrialView]:
    running = [trial for trial in view.trials if trial.state == "running"]
    best = view.best_trials
    left = [trial for trial in reversed(view.trials) if trial not in best and trial.state != "running"]
    return [*running, *best, *left][:room]


def _cells(view: SweepView, trial: TrialView, curve: int, now: float) -> list[str | Text]:
    from rich.text import Text

    star = " ★" if trial.number in view.best else ""
    result = trial.results[0] if trial.results else None
    return [
        str(trial.number),
        Text(f"{trial.state}{star}", style=COLOURS[trial.state]),
        figures.metric(result),
        Text(figures.sparkline(trial.history, curve), style="cyan"),
        figures.duration(trial.seconds(now)),
    ]
