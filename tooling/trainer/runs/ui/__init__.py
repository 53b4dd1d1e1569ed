"""What the MLflow UI shows of runs: descriptions with scores, and the table of an experiment's runs."""

from __future__ import annotations

import logging

from trainer.errors import TrainerError
from trainer.runs.ui import description, view
from trainer.tracking import metrics, run_tags, search
from trainer.tracking.client import Client, Run

_LOG = logging.getLogger(__name__)
_COMPARED = 20  # of the experiment's newest runs: what differs between them is a column
_SCORES = 6  # each costs a question


def ended(client: Client, run: Run) -> None:
    """Add the scores of a run that has ended to its description, and update the view of its experiment.

    A server that does not take that, or that answers something odd, costs the run nothing.
    """
    try:
        _prepare(client, run)
    except (TrainerError, AttributeError, LookupError, TypeError, ValueError) as error:
        _LOG.info("The UI's pages of run %s are as they were: %s", run.id, error)


def _prepare(client: Client, run: Run) -> None:
    newest = {other.id: other for other in search.newest(client, run.experiment_id, _COMPARED)}
    run = newest.get(run.id) or client.get_run(run.id)
    newest[run.id] = run
    primary = run.tags.get(run_tags.PRIMARY_METRIC)
    names = [name for name in metrics.shown(run.metrics, primary) if name == primary or metrics.judges(name)]
    if not names:
        return
    curves = {name: search.curves(client, [run.id], name).get(run.id, ()) for name in names[:_SCORES]}
    table = view.update(client, list(newest.values()), primary, curves)
    note = description.with_scores(run.tags.get(run_tags.NOTE, ""), run, primary, curves, table)
    if note:
        client.set_tags(run.id, {run_tags.NOTE: note})
