"""How a list of runs is printed: as a table, as JSON, as CSV. Runs within others stand below them."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer import printable
from trainer.cli import figures, output
from trainer.counted import counted
from trainer.tracking import run_tags

if TYPE_CHECKING:
    from rich.text import Text

    from trainer.cli.runs.runs.columns import Column
    from trainer.tracking.search import Entry
    from trainer.tracking.search.families import Family

MARK = "*"
"""Of a run of which something was refused."""
Refused = Callable[[str, Mapping[str, str]], str | None]
"""Of a run's id and tags: what of it was refused."""
_STATUSES = ("RUNNING", "FINISHED", "FAILED", "KILLED", "pruned")


@dataclass(frozen=True)
class _Line:
    """A run in the table: what stands before its name, and what is said of those within it."""

    entry: Entry
    branch: str = ""
    within: str = ""


def print_table(
    families: Sequence[Family],
    columns: Sequence[Column],
    now: float,
    refused: Refused,
    *,
    least: int | None,
    children: bool = False,
) -> None:
    """`least`: so many of `columns` are shown, however narrow the terminal is; None for all.

    `children`: what is within a run is listed below it, and not counted.
    """
    from trainer.tracking import search

    headings = ["STATUS", "RUN", "ID", "PROJECT", "AGE", "TOOK", *(column.name for column in columns)]
    rows: list[Sequence[str | Text] | output.Remark] = []
    for line in _tree(families) if children else _folded(families):
        entry = line.entry
        rows.append(
            (
                output.coloured(
                    entry.run.status + (MARK if refused(entry.run.id, entry.run.tags) else ""),
                    figures.status_colour(entry.run.status),
                ),
                line.branch + printable.line(entry.run.name),
                entry.run.id[:8],
                printable.line(entry.project),
                "" if entry.run.started is None else figures.ago(now - entry.run.started),
                figures.duration(search.duration(entry.run, now)),
                *(column.text(entry) for column in columns),
            )
        )
        if line.within:
            rows.append(output.Remark(f"└─ {line.within}", below=1))
    fixed = len(headings) - len(columns)
    output.table(headings, rows, numbers=len(columns) + 2, least=None if least is None else fixed + least)


def _folded(families: Sequence[Family]) -> Iterator[_Line]:
    for family in families:
        yield _Line(family.entry, within=summary([child.entry for child in family.children]))


def _tree(families: Sequence[Family]) -> Iterator[_Line]:
    for family in families:
        yield _Line(family.entry)
        yield from _branches(family.children, "")


def _branches(children: Sequence[Family], before: str) -> Iterator[_Line]:
    for number, child in enumerate(children, 1):
        is_last = number == len(children)
        yield _Line(child.entry, before + ("└─ " if is_last else "├─ "))
        yield from _branches(child.children, before + ("   " if is_last else "│  "))


def summary(children: Sequence[Entry]) -> str:
    """How many there are and how they ended: `20 trials: 18 FINISHED, 2 KILLED`. Nothing for none."""
    if not children:
        return ""
    trials = {trial for entry in children if (trial := entry.run.tags.get(run_tags.TRIAL))}
    runs = counted(len(children), "run")
    what = counted(len(trials), "trial") if trials else runs
    if trials and len(children) > len(trials):
        what += f" ({runs})"
    counts = Counter(
        "pruned" if run_tags.PRUNED in entry.run.tags else entry.run.status for entry in children
    )
    in_order = sorted(counts, key=lambda word: _STATUSES.index(word) if word in _STATUSES else len(_STATUSES))
    return f"{what}: {', '.join(f'{counts[word]} {word}' for word in in_order)}"


def _fixed(entry: Entry, now: float, refused: Refused) -> dict[str, str | float | None]:
    from trainer.tracking import search

    run = entry.run
    took = search.duration(run, now)
    return {
        "run_id": run.id,
        "name": run.name,
        "project": entry.project,
        "experiment": entry.experiment,
        "parent": run.tags.get(run_tags.PARENT_RUN) or None,
        "status": run.status,
        "started": run.started,
        "duration_seconds": None if took is None else round(took, 3),
        "refused": refused(run.id, run.tags),
    }


def everything(entry: Entry, columns: Sequence[Column], now: float, refused: Refused) -> dict[str, object]:
    """A run as JSON: with these columns, or with all metrics and parameters."""
    run = entry.run
    if columns:
        return {
            **_fixed(entry, now, refused),
            **{column.name: output.finite(column.value(entry)) for column in columns},
        }
    return {
        **_fixed(entry, now, refused),
        "metrics": {name: output.finite(value) for name, value in run.metrics.items()},
        "parameters": dict(run.parameters),
        "url": run.url,
    }


def print_csv(entries: Sequence[Entry], columns: Sequence[Column], now: float, refused: Refused) -> None:
    """Print CSV with a heading; nothing for no runs."""
    if not entries:
        return
    written = csv.writer(sys.stdout, lineterminator="\n")
    written.writerow([*_fixed(entries[0], now, refused), *(column.name for column in columns)])
    for entry in entries:
        written.writerow(
            [*_fixed(entry, now, refused).values(), *(column.value(entry) for column in columns)]
        )
