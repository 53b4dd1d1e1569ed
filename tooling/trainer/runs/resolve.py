"""What a user calls a run: the beginning of its id, its name, @last, or @best:METRIC.

Behind a sweep and a slash it is one of its trials: SWEEP/@best, SWEEP/@best:METRIC, SWEEP/NUMBER. The id may
also be the one that it had while its server was away.
"""

from __future__ import annotations

from collections.abc import Sequence

from trainkit.spool.names import OFFLINE_TAG

from trainer.errors import InvalidInput
from trainer.projects.parameters import nearest
from trainer.server import selection
from trainer.tracking import run_tags, search
from trainer.tracking.client import Run
from trainer.tracking.search import trials
from trainer.workspace import run_folders
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

LAST = "@last"
BEST = "@best:"
WITHIN = "/@best"
"""Behind a run: the best one within it."""
_SHOWN = 5


class NoSuchRun(InvalidInput):
    """No run is called `text`."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(f"There is no run {text}.", hint)
        self.text = text


class AmbiguousRun(InvalidInput):
    """More than one run could be meant."""


def resolve(workspace: Workspace, text: str) -> Record:
    """The one run that is meant: of those that this workspace started, else of the chosen server.

    `@best:METRIC` is the finished run on the chosen server with the highest final value of the metric,
    `@best:-METRIC` the one with the lowest. `SWEEP/@best:METRIC` is that of the runs within the run SWEEP,
    `SWEEP/@best` the best trial as the sweep judges them, `SWEEP/3` its trial 3.

    Raises `InvalidInput` where there is none, of what is no @best a `NoSuchRun`; `AmbiguousRun` where there
    is more than one; `TrackingError` where the server has to be asked and does not answer.
    """
    if text.startswith(BEST):
        return _best(workspace, text.removeprefix(BEST))
    parent, slash, which = text.rpartition(WITHIN)
    if slash and parent and which[:1] in ("", ":"):
        return _best_within(workspace, parent, which)
    matches = started_here(workspace, text)
    if not matches and text:
        matches = _on_server(workspace, text)
    if matches:
        return _only(text, matches)
    parent, slash, which = text.rpartition("/")
    if parent and which.isdecimal():
        return _trial(workspace, parent, which)
    raise NoSuchRun(
        text,
        _near(workspace, text)
        or "Use the beginning of its id, its name, @last or @best:METRIC; `trainer runs` lists the runs.",
    )


def _near(workspace: Workspace, text: str) -> str:
    """A hint at the run of this workspace whose name was probably meant; empty where there is none."""
    names = [record.name for record in _all_here(workspace) if record.name and not record.is_deleted]
    hint = nearest(text, names, "")
    return hint if hint.startswith("Did") else ""


def resolve_deleted(workspace: Workspace, text: str) -> Record:
    """The one deleted run of the chosen server whose id begins with this, or that has it as its name.

    Raises `InvalidInput` where there is none, or more than one; `TrackingError`.
    """
    if matches := _on_server(workspace, text, deleted=True):
        return _only(text, matches)
    raise InvalidInput(
        f"There is no deleted run {text}.", "`trainer runs list --deleted` lists the deleted runs."
    )


def _only(text: str, matches: list[Record]) -> Record:
    named = [record for record in matches if record.name == text]
    if len(matches) == 1 or len(named) == 1:
        return (named or matches)[0]
    several = ", ".join(f"{record.run_id[:8]} ({record.name})" for record in matches[-_SHOWN:])
    hint = "Use one of the ids." if named else "Use more of the id."
    raise AmbiguousRun(f"{text} could be {len(matches)} runs: {several}.", hint)


def live(workspace: Workspace, text: str) -> Record:
    """As `resolve`, for a command on live runs: of several that could be meant, the one that is live."""
    try:
        return resolve(workspace, text)
    except AmbiguousRun:
        matches = [r for r in started_here(workspace, text) if run_folders.is_live(workspace, r.run_id)]
        if len(matches) != 1:
            raise
        return matches[0]


def started_here(workspace: Workspace, text: str) -> list[Record]:
    """The runs that this workspace started and that could be meant by what is not @best:METRIC.

    A deleted run is meant where no other one could be. No server is asked. Raises `InvalidInput` for @last
    before there was a run.
    """
    by_id = {record.run_id: record for record in _all_here(workspace)}
    if text == LAST:
        if not by_id:
            where = " on that server" if workspace.server_asked_for else ""
            raise InvalidInput(f"This workspace has started no run{where} yet.", "trainer run PROJECT")
        return [max(_kept(list(by_id.values())), key=lambda record: record.started)]
    return _kept([record for record in by_id.values() if _matches(text, record)])


def _all_here(workspace: Workspace) -> list[Record]:
    return selection.of_server(workspace, [*run_folders.history(workspace), *run_folders.live(workspace)])


def _kept(records: list[Record]) -> list[Record]:
    return [record for record in records if not record.is_deleted] or records


def candidates(workspace: Workspace, beginning: str, *, live: bool = False) -> list[tuple[str, str]]:
    """Name or id, with what to show beside it, of the runs that the beginning could mean; newest first."""
    sweep, slash, rest = beginning.rpartition("/")
    if slash and sweep and not live and "@best".startswith(rest[:5]):
        named = f"{sweep}{WITHIN}"
        return [
            (named, "the best trial of the sweep"),
            (f"{named}:", "METRIC: the trial with its highest value"),
        ]
    records = run_folders.live(workspace) if live else run_folders.history(workspace)
    choices = [
        (record.name or record.run_id, record) for record in reversed(records) if not record.is_deleted
    ]
    if beginning and not any(name.startswith(beginning) for name, _ in choices):
        choices = [(record.run_id, record) for _, record in choices]
    texts = [(name, record.project) for name, record in choices] + [(LAST, "the newest run")]
    if not live:
        texts.append((BEST, "METRIC: the run with its highest value; -METRIC: the lowest"))
    return [(name, text) for name, text in dict(reversed(texts)).items() if name.startswith(beginning)][::-1]


def _matches(text: str, record: Record) -> bool:
    ids = (record.run_id, record.offline_id)
    return bool(text) and (record.name == text or any(run_id.startswith(text) for run_id in ids))


def _on_server(workspace: Workspace, text: str, *, deleted: bool = False) -> list[Record]:
    client, own = selection.existing(workspace)
    quoted = text.replace("'", "")
    runs = search.matching(
        client,
        f"attributes.run_id LIKE '{quoted}%'",
        f"attributes.run_name = '{quoted}'",
        # A run that a script began while the server was away had another id until it was brought there.
        f"tags.`{OFFLINE_TAG}` LIKE '{quoted}%'",
        deleted=deleted,
    )
    return _records(workspace, runs, client.server.uri, own=own)


def _best(workspace: Workspace, text: str, within: str = "") -> Record:
    if not text.removeprefix("-"):
        raise InvalidInput(
            f"{BEST}{text} names no metric.", f"{BEST}METRIC for the highest, {BEST}-METRIC for the lowest"
        )
    client, own = selection.existing(workspace)
    best = search.best(client, text.removeprefix("-"), lowest=text.startswith("-"), within=within)
    return _records(workspace, [best], client.server.uri, own=own)[0]


def _best_within(workspace: Workspace, text: str, which: str) -> Record:
    parent = resolve(workspace, text)
    if which:
        return _best(workspace, which[1:], parent.run_id)
    client, own = selection.existing(workspace)
    sweep = client.get_run(parent.run_id)
    if ids := sweep.tags.get(run_tags.BEST_RUN, "").split():
        return _records(workspace, [client.get_run(ids[0])], client.server.uri, own=own)[0]
    raise InvalidInput(
        f"{parent.name or text} has no best trial{' yet' if sweep.status == 'RUNNING' else ''}.",
        f"Name the metric: {text}{WITHIN}:METRIC for the highest, {text}{WITHIN}:-METRIC for the lowest",
    )


def _trial(workspace: Workspace, text: str, number: str) -> Record:
    """Of several runs of one trial that count, the first."""
    parent = resolve(workspace, text)
    client, own = selection.existing(workspace)
    trial, below = f"tags.`{run_tags.TRIAL}` = '{int(number)}'", f"= '{parent.run_id}'"
    runs = search.matching(client, f"tags.`{run_tags.PARENT_RUN}` {below} AND {trial}")
    if not runs:
        raise InvalidInput(
            f"{parent.name or text} has no trial {number}.", f"Its trials: trainer show {text}"
        )
    return _records(workspace, [trials.counting(runs)[0]], client.server.uri, own=own)[0]


def _records(workspace: Workspace, runs: Sequence[Run], uri: str, *, own: bool) -> list[Record]:
    """As they were started here, if they were; else what the server tells of them."""
    here = {record.run_id: record for record in _all_here(workspace)}
    return [here.get(run.id) or _told(run, uri, own=own) for run in runs]


def _told(run: Run, uri: str, *, own: bool) -> Record:
    return Record(
        run_id=run.id,
        project=run.tags.get(run_tags.SOURCE_NAME, "").rpartition("/")[2],
        backend=run.tags.get(run_tags.BACKEND, ""),
        tracking_uri=uri,
        own_server=own,
        name=run.name,
        image=run.tags.get(run_tags.IMAGE, ""),
        host="",
        started=0.0,
    )
