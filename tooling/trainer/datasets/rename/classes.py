"""Renaming the classes of a dataset: what `trainer data rename-classes` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trainer.datasets.rename import journal
from trainer.datasets.rename import plan as renaming
from trainer.datasets.rename.plan import Rename


@dataclass(frozen=True)
class Outcome:
    """What was renamed, or would be."""

    renames: tuple[Rename, ...] = ()
    finished: str | None = None
    """What an interrupted call had left to do, and was finished first (or, in a dry run, would be)."""
    already: Mapping[str, str] = field(default_factory=dict)
    """Pairs of the mapping that were done earlier."""


def rename_classes(root: Path, mapping: Mapping[str, str], *, dry_run: bool = False) -> Outcome:
    """Rename every class by the mapping, else by the rule.

    Raises `InvalidInput` before it begins.
    """
    with journal.alone(root):
        waiting = journal.read(root)
        if waiting.going and dry_run:
            return Outcome(waiting.left(), waiting.unfinished)
        finished = journal.resume(root)
        plan = renaming.plan(renaming.parts(root), mapping, journal.read(root).last())
        if plan.renames and not dry_run:
            journal.apply(root, renaming.steps(plan.renames))
        return Outcome(plan.renames, finished, plan.already)


def undo(root: Path, *, dry_run: bool = False) -> Outcome:
    """Take the last renaming back: the one that was interrupted, if there is one. Raises `InvalidInput`."""
    with journal.alone(root):
        waiting = journal.read(root)
        if waiting.going and dry_run:
            return Outcome(waiting.left(), waiting.unfinished)
        finished = journal.resume(root)
        if waiting.going and waiting.back:
            return Outcome(finished=finished)
        return Outcome(journal.undo(root, dry_run=dry_run), finished)
