"""Runs within others (the trials of a sweep, the steps of a script), each below its parent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from trainer.tracking import run_tags, search
from trainer.tracking.client import Client, Run
from trainer.tracking.failures import NotThere
from trainer.tracking.search import Entry, Query

_IS_CHILD = f"tags.`{run_tags.PARENT_RUN}` LIKE '%'"
_NEWEST_FIRST = f"-{search.START}"


@dataclass(frozen=True)
class Family:
    """A run, and those that are within it."""

    entry: Entry
    children: tuple[Family, ...] = ()

    @property
    def members(self) -> Iterator[Entry]:
        """The run, and what is within it to any depth, each behind its parent."""
        yield self.entry
        for child in self.children:
            yield from child.members


def search_families(client: Client, query: Query) -> list[Family]:
    """The runs that are asked for, with all those within them. The limit counts the former.

    A run whose parent is deleted, or is not what is asked for, stands for itself. `Query.condition` has to be
    empty: what it meets need not be what its parent meets. Raises as `search.search` does.
    """
    entries = search.search(client, replace(query, beyond_children=True))
    known = {entry.run.id: entry for entry in entries}
    absent = {parent for entry in entries if (parent := parent_of(entry.run)) not in known}
    further_down = {parent for parent in absent if parent and _is_asked_for(client, query, parent)}
    tops = [entry for entry in entries if parent_of(entry.run) not in known.keys() | further_down]
    listed = tops[: query.limit]
    if query.limit is not None and len(tops) >= query.limit and query.sort != _NEWEST_FIRST:
        # No run begins before its parent: only in that order all children have been seen by now.
        every = replace(query, condition=_IS_CHILD, limit=None, sort=_NEWEST_FIRST)
        known |= {entry.run.id: entry for entry in search.search(client, every)}
    return below(listed, known.values(), query.sort)


def below(tops: Iterable[Entry], others: Iterable[Entry], sort: str = _NEWEST_FIRST) -> list[Family]:
    """Each of `tops` with those of `others` that are within it: as they began, or as a metric sorts them."""
    in_order = search.in_order(others, search.START if sort == _NEWEST_FIRST else sort)
    by_parent: dict[str, list[Entry]] = {}
    for entry in in_order:
        by_parent.setdefault(parent_of(entry.run) or "", []).append(entry)
    return [_family(entry, by_parent) for entry in tops]


def parent_of(run: Run) -> str | None:
    """The id of the run that it is within."""
    parent = run.tags.get(run_tags.PARENT_RUN)
    return None if parent in ("", run.id) else parent


def _family(entry: Entry, by_parent: Mapping[str, Sequence[Entry]]) -> Family:
    return Family(entry, tuple(_family(child, by_parent) for child in by_parent.get(entry.run.id, ())))


def _is_asked_for(client: Client, query: Query, run_id: str) -> bool:
    """Whether the search would come to that run if it went on."""
    try:
        run = client.get_run(run_id)
    except NotThere:
        return False
    if (run.status == "DELETED") != query.deleted:
        return False
    names = search.experiments(client)
    return query.project in (None, search.project(run, names), names.get(run.experiment_id))
