"""`trainer show`: everything of one run."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import figures, output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.live.line import columns
from trainer.cli.runs.argument import run_argument
from trainer.errors import TrackingError
from trainer.tracking import run_tags
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.models.registered import RunModel
    from trainer.tracking.artifacts.listing import Artifact
    from trainer.tracking.client import Client, Run
    from trainer.tracking.search import Point

_FILES = 200
_CURVE, _NARROWEST = 24, 8
"""How wide a curve is, and is to be where a terminal is narrow: before that it stands without its steps."""


@click.command(
    short_help="Show the details of a run.",
    epilog=examples("trainer show @last", "trainer show @best:accuracy --json"),
)
@run_argument()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, with the points of every curve.")
@pass_workspace
def show(workspace: Workspace, said: str, as_json: bool) -> None:
    """Show RUN: its origin, parameters, metrics and their curves, its artifacts, and how it ended.

    RUN is the beginning of a run's id, its name, @last or @best:METRIC; SWEEP/@best, SWEEP/@best:METRIC or
    SWEEP/NUMBER is a trial of a sweep. Of a sweep the trials are shown, the best first. A long curve is an
    even sample of it.
    """
    from trainer.cli.runs import children
    from trainer.models import registered
    from trainer.runs import resolve, server
    from trainer.tracking import metrics, search
    from trainer.workspace import refusals

    record = resolve.resolve(workspace, said)
    client, run = server.run_of(workspace, record)
    names = metrics.shown(run.metrics, run.tags.get(run_tags.PRIMARY_METRIC))
    curves = {name: search.curves(client, [run.id], name)[run.id] for name in names}
    files, error = _files(client, run)
    took = search.duration(run, time.time())
    refused = refusals.describer(workspace)(run.id, run.tags)
    model = registered.of_run(client, run)
    within = children.of_run(workspace, client, run)
    if as_json:
        listed = None if error else [asdict(file) for file in files[:_FILES]]
        output.as_json(
            {
                **_as_json(run, curves, took),
                "artifacts": listed,
                "refused": refused,
                "model": asdict(model) if model else None,
                **within.as_json(),
            }
        )
        if error:
            raise error
        return
    _heading(run, took)
    if refused:
        click.echo(f"refused: {printable.line(refused)}")
    _pairs("Made from", _origin(run))
    _pairs("Parameters", dict(sorted(run.parameters.items())))
    _metrics(run, curves)
    within.show()
    _artifacts(files[:_FILES])
    if len(files) > _FILES:
        click.echo(f"  … and more: only the first {_FILES} are shown")
    if error:
        raise error
    if model:
        _model(run, model)


def _files(client: Client, run: Run) -> tuple[list[Artifact], TrackingError | None]:
    """The first artifacts, and why some are missing: the store may be away while the server answers."""
    from trainer.tracking.artifacts import listing as artifact_listing

    files: list[Artifact] = []
    try:
        files.extend(islice(artifact_listing.of_run(client, run), _FILES + 1))
    except TrackingError as error:
        return files, error
    return files, None


def _heading(run: Run, took: float | None) -> None:
    status = output.style(run.status, fg=figures.status_colour(run.status), bold=True)
    click.echo(f"{status}  {printable.line(run.name)}  {run.id}")
    since = "" if run.started is None else f"started {figures.ago(time.time() - run.started)} ago"
    user_text = f"by {user}" if (user := run.tags.get(run_tags.USER)) else ""
    length = "" if took is None else f"{'took' if run.ended else 'running for'} {figures.duration(took)}"
    click.echo(printable.line(", ".join(filter(None, (since, length, user_text)))))
    if ended := _end(run):
        click.echo(f"ended: {printable.line(ended)}")
    if run.status == "FAILED":
        click.echo(f"its output: trainer logs {run.id[:8]}")
    click.echo(output.style(run.url, fg="blue", underline=True))


def _end(run: Run) -> str:
    tags = run.tags
    reason = tags.get(run_tags.END, "")
    signal = tags.get(run_tags.SIGNAL, "")
    parts = [
        reason,
        f"exit code {code}" if (code := tags.get(run_tags.EXIT_CODE)) else "",
        "" if signal in reason else signal,
        "out of memory" if run_tags.OUT_OF_MEMORY in tags else "",
    ]
    return ", ".join(dict.fromkeys(filter(None, parts)))


def _origin(run: Run) -> dict[str, str]:
    tags = run.tags
    branch = f" on {tags[run_tags.GIT_BRANCH]}" if run_tags.GIT_BRANCH in tags else ""
    dirty = ", with uncommitted changes" if tags.get(run_tags.GIT_DIRTY) == "true" else ""
    commit = tags.get(run_tags.GIT_COMMIT, "")
    limits = [f"gpus {tags[run_tags.GPUS]}"] if run_tags.GPUS in tags else []
    limits += [f"cpus {tags[run_tags.CPUS]}"] if run_tags.CPUS in tags else []
    limits += [f"memory {tags[run_tags.MEMORY]}"] if run_tags.MEMORY in tags else []
    limits += ["deterministic"] if tags.get(run_tags.DETERMINISTIC) == "true" else []
    pairs = {
        "image": tags.get(run_tags.IMAGE, ""),
        "image id": figures.short(tags.get(run_tags.IMAGE_ID, "")),
        "requirements": figures.short(tags.get(run_tags.REQUIREMENTS_DIGEST, "")),
        "code": figures.short(tags.get(run_tags.CODE_DIGEST, "")),
        "commit": f"{figures.short(commit)}{branch}{dirty}" if commit else "",
        "source": tags.get(run_tags.SOURCE_NAME, ""),
        "data": ", ".join(f"{name} {figures.short(digest)}" for name, digest in _datasets(run.inputs)),
        "command": _command(tags.get(run_tags.COMMAND, "")),
        "backend": ", ".join(filter(None, (tags.get(run_tags.BACKEND, ""), *limits))),
        "keras": _keras(tags),
        "trainer": tags.get(run_tags.VERSION, ""),
        "warm start": figures.short(tags.get(run_tags.WARM_START, "")),
        "reproduces": ", ".join(
            filter(
                None, (figures.short(tags.get(run_tags.REPRODUCES, "")), tags.get(run_tags.REPRODUCED, ""))
            )
        ),
    }
    return {name: text for name, text in pairs.items() if text}


def _datasets(inputs: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names and digests, without what a script logged as a split of a file whose digest is there as well.

    Such a split's digest is the beginning of the file's, and the split's name: `2bbd2411-validation`.
    """

    def is_split(digest: str) -> bool:
        beginning, dash, _ = digest.partition("-")
        return bool(beginning and dash) and any(whole.startswith(beginning) for whole in wholes)

    wholes = [digest for digest in inputs.values() if "-" not in digest]
    return sorted((name, digest) for name, digest in inputs.items() if not is_split(digest))


def _keras(tags: Mapping[str, str]) -> str:
    """`3.12.0, backend jax 0.7.2 on NVIDIA H100`."""
    backend = tags.get(run_tags.KERAS_BACKEND, "")
    names = (run_tags.KERAS, backend)
    version, of_backend = (tags.get(f"trainer.{name}", tags.get(name, "")) for name in names)
    words = (backend, of_backend, "on", tags.get(run_tags.KERAS_DEVICE, ""))
    return f"{version}, backend {' '.join(filter(None, words))}" if version else ""


def _command(text: str) -> str:
    """On one line, however its parts were quoted."""
    try:
        parts = shlex.split(text)
    except ValueError:
        return text
    return " ".join(shlex.quote(part) for part in parts)


def _pairs(title: str, pairs: Mapping[str, str]) -> None:
    if not pairs:
        return
    click.echo(f"\n{output.style(title, bold=True)}")
    width = max(map(len, pairs))
    for name, text in pairs.items():
        click.echo(f"  {printable.line(name):<{width}}  {printable.line(text)}")


def _metrics(run: Run, curves: Mapping[str, Sequence[Point]]) -> None:
    if not curves:
        return
    click.echo(f"\n{output.style('Metrics', bold=True)}")
    names = {name: printable.line(name) for name in curves}
    values = {name: figures.metric(run.metrics[name]) for name in curves}
    steps = {
        name: f"steps {points[0].step} to {points[-1].step}" for name, points in curves.items() if points
    }
    name_width, value_width = (max(map(len, column.values())) for column in (names, values))
    room = _room() - len("      ") - name_width - value_width
    beside = max(map(len, steps.values()), default=0) + 2
    shows_steps = room - beside >= _NARROWEST
    width = min(_CURVE, room - beside if shows_steps else room)
    for name, points in curves.items():
        line = f"  {names[name]:<{name_width}}  {values[name]:<{value_width}}"
        if width > 0 and (drawn := figures.sparkline([point.value for point in points], width)):
            line += f"  {output.style(drawn, fg='cyan')}" + (f"  {steps[name]}" if shows_steps else "")
        click.echo(line.rstrip())


def _room() -> int:
    """How many columns a line may have: without a terminal, nothing is folded to a guessed width."""
    return columns(sys.stdout) if sys.stdout.isatty() else sys.maxsize


def _artifacts(files: Sequence[Artifact]) -> None:
    if not files:
        return
    click.echo(f"\n{output.style('Artifacts', bold=True)}")
    lines = [
        (
            "  " * (file.path.count("/") + 1)
            + file.path.rpartition("/")[2]
            + ("/" if file.size is None else ""),
            file,
        )
        for file in files
    ]
    width = max(len(text) for text, _ in lines)
    for text, file in lines:
        sized = "" if file.size is None else f"{figures.size(file.size):>9}"
        click.echo(f"{printable.line(text):<{width}}  {sized}".rstrip())


def _model(run: Run, model: RunModel) -> None:
    """What the run has learnt, and what can be done with it now."""
    click.echo(f"\n{output.style('Model', bold=True)}")
    names = "".join(f", registered as {name}" for name in model.versions)
    click.echo(printable.line(f"  {', '.join(model.flavors)}{names}"))
    if model.exported:
        newest = shlex.quote(model.versions[0])
        output.next_steps([f"trainer predict {newest} INPUT", f"trainer serve {newest}"])
    elif model.versions:
        output.next_steps([f"trainer models show {shlex.quote(model.versions[0])}"])
    elif run.status == "FINISHED":
        output.next_steps([f"trainer models register {run.id[:8]}"])


def _as_json(run: Run, curves: Mapping[str, Sequence[Point]], took: float | None) -> dict[str, object]:
    return {
        "run_id": run.id,
        "name": run.name,
        "status": run.status,
        "experiment_id": run.experiment_id,
        "started": run.started,
        "duration_seconds": None if took is None else round(took, 3),
        "url": run.url,
        "parameters": dict(run.parameters),
        "metrics": {name: output.finite(value) for name, value in run.metrics.items()},
        "curves": {
            name: [[point.step, output.finite(point.value)] for point in points]
            for name, points in curves.items()
        },
        "data": dict(run.inputs),
        "tags": dict(run.tags),
    }
