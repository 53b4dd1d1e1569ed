"""The parent run of a sweep: a run without a job, with what came of the trials."""

from __future__ import annotations

import csv
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from trainer import yaml_file
from trainer.host import user
from trainer.runs import outcome
from trainer.runs.launch.prepare import PreparedLaunch
from trainer.sweeps.requests import MARK
from trainer.sweeps.search import spec_file
from trainer.sweeps.search.spec import SweepSpec
from trainer.sweeps.studies import figures
from trainer.sweeps.studies.study import Study
from trainer.tracking import run_tags
from trainer.tracking.client import Client, Run, Status

_LOG = logging.getLogger(__name__)

FOLDER = "sweep"
BEST = "best.yaml"


@dataclass(frozen=True)
class Row:
    """What came of one trial."""

    number: int
    state: str
    values: Mapping[str, str]
    results: Sequence[float]
    """One an objective; empty where it has none."""
    run_ids: Sequence[str]
    took_s: float
    why: str = ""


def create(ready: PreparedLaunch, experiment_id: str, spec: SweepSpec) -> Run:
    """Create it. Raises `TrackingError`."""
    tags = {
        run_tags.USER: user.name(),
        run_tags.SOURCE_TYPE: "PROJECT",
        run_tags.SOURCE_NAME: ready.plan.code.source,
        run_tags.ENTRY_POINT: ready.plan.code.entry_point,
        run_tags.SWEEP: MARK,
        run_tags.NOTE: _note(spec),
        **spec.options.tags,
    }
    return ready.client.create_run(experiment_id, spec.run_name, ready.masker.tree(tags))


def go_on(client: Client, run: Run) -> None:
    """It goes on."""
    if run.status != "RUNNING":
        client.resume_run(run.id, outcome.TAGS)


def finish(
    client: Client,
    run: Run,
    study: Study,
    rows: Sequence[Row],
    best: Sequence[Row],
    status: Status,
    reason: str,
) -> None:
    """Give it what is known of the trials, and its status. Raises `TrackingError`."""
    spec = study.spec
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "sweep.yaml").write_text(spec_file.text(spec))
        files = {
            f"{FOLDER}/trials.csv": _trials(folder, spec, rows),
            f"{FOLDER}/sweep.yaml": folder / "sweep.yaml",
        }
        if status == "FINISHED":
            files |= {f"{FOLDER}/{figure.name}": figure for figure in _figures(study, folder)}
        if best:
            (folder / BEST).write_text(best_yaml(spec, best[0]))
            files[BEST] = folder / BEST
        for artifact, path in files.items():
            client.upload(run, path, artifact)
    if best and status == "FINISHED":
        client.log_parameters(run.id, {**spec.parameters, **best[0].values})
    ids = {run_tags.BEST_RUN: " ".join(row.run_ids[0] for row in best)} if best else {}
    client.set_tags(run.id, {run_tags.NOTE: _note(spec, rows, best), run_tags.END: reason, **ids})
    client.end_run(run.id, status)


def _figures(study: Study, folder: Path) -> list[Path]:
    try:
        return figures.draw(study, folder)
    except Exception:  # noqa: BLE001 (a picture less is no reason to lose the rest)
        _LOG.exception("The figures of a sweep could not be drawn")
        return []


def best_yaml(spec: SweepSpec, best: Row) -> str:
    """The parameters of the best trial, as `trainer run --params FILE` takes them."""
    values = {name: yaml_file.plain(value) for name, value in {**spec.parameters, **best.values}.items()}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _trials(folder: Path, spec: SweepSpec, rows: Sequence[Row]) -> Path:
    path = folder / "trials.csv"
    names = [dimension.name for dimension in spec.dimensions]
    metrics = [objective.metric for objective in spec.objectives]
    with path.open("w", newline="") as file:
        written = csv.writer(file, lineterminator="\n")
        written.writerow(["trial", "state", *metrics, *names, "took_seconds", "run_ids", "why"])
        for row in rows:
            results = [repr(value) for value in row.results] or [""] * len(metrics)
            values = [row.values.get(name, "") for name in names]
            ids = " ".join(row.run_ids)
            written.writerow([row.number, row.state, *results, *values, f"{row.took_s:.3f}", ids, row.why])
    return path


def _note(spec: SweepSpec, rows: Sequence[Row] = (), best: Sequence[Row] = ()) -> str:
    """The description in the MLflow UI, in Markdown."""
    lines = [f"A sweep of `{spec.project}`: {', '.join(each.text for each in spec.objectives)}.", ""]
    lines += [f"- `{dimension.name}`: `{dimension.text}`" for dimension in spec.dimensions]
    if best:
        heads = [objective.metric for objective in spec.objectives]
        names = [dimension.name for dimension in spec.dimensions]
        columns = ["trial", *heads, *names]
        lines += ["", f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
        for row in best:
            cells = [f"{value:.6g}" for value in row.results] + [row.values.get(name, "") for name in names]
            lines.append(f"| {row.number} | {' | '.join(cells)} |")
        lines += ["", f"The best of {len(rows)} trials. All of them: `{FOLDER}/trials.csv`."]
    return "\n".join(lines)
