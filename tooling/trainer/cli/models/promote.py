"""`trainer models promote`: an alias is moved, if need be only to what is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.models.argument import model_argument
from trainer.cli.models.moves import alias_option, dry_run_option, follow, json_option, report
from trainer.cli.runs.argument import pairs
from trainer.errors import InvalidInput, NotBetter, TooFewSamples, TrainerError
from trainer.workspace.settings import Workspace, find

if TYPE_CHECKING:
    from trainer.models.aliases import Move
    from trainer.models.evaluation import Evaluation, Evidence
    from trainer.models.registry import Version
    from trainer.tracking.client import Client


@dataclass(frozen=True)
class Outcome:
    """What came of a promotion, as far as it went."""

    evaluation: Evaluation | None = None
    evidence: Evidence | None = None
    move: Move | None = None


def _complete_dataset(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from trainer.datasets import catalog

    try:
        names = catalog.datasets(find())
    except TrainerError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command(
    short_help="Have an alias point to a version.",
    epilog=examples(
        "trainer models promote skin@3",
        "trainer models promote skin@3 --if-better val_accuracy --on data_24 --floor melanoma=0.9",
    ),
)
@model_argument("NAME@VERSION")
@alias_option
@click.option(
    "--if-better", "metric", metavar="METRIC", help="Only if it is better than the present one; takes --on."
)
@click.option("--on", "dataset", metavar="DATASET", shell_complete=_complete_dataset,
              help="Dataset in data/, or a path, that both are evaluated on.")  # fmt: skip
@click.option("--floor", "floors", multiple=True, metavar="CLASS=RECALL", callback=pairs,
              help="Least recall of a class.")  # fmt: skip
@click.option("--min-gain", type=click.FloatRange(min=0), default=0.0, metavar="NUMBER",
              help="What METRIC has to gain at least.")  # fmt: skip
@dry_run_option
@json_option
@pass_workspace
def promote(
    workspace: Workspace, said: str, alias: str, metric: str | None, dataset: str | None,
    floors: Mapping[str, str], min_gain: float, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Have an alias point to NAME@VERSION, which may be NAME@ALIAS too.

    Who uses NAME@champion uses that version from then on. `trainer models rollback` undoes it.

    With --if-better, the version and the one that the alias points to are asked the same samples of a
    dataset, which neither has learned from as far as their runs say. A version that is not better is refused
    with exit code 95. Where the samples are too few to tell, it is 96.
    """
    from trainer.models import aliases, registry
    from trainer.server import selection

    least = _checked(metric, dataset, floors, min_gain)
    path = _path(workspace, dataset) if dataset else None
    registry.check_alias(alias)
    reference = registry.parse(said)
    if not (reference.alias or reference.number):
        raise InvalidInput(
            f"{said} names no version.", f"Write {said}@VERSION; to list them: trainer models show {said}"
        )
    client, _ = selection.existing(workspace)
    version = registry.version(client, reference)
    before = registry.model(client, version.model).aliases.get(alias)
    if before == version.number:
        output.tell(f"{version.model}@{version.number} is {alias} already.")
        _print(version.model, Outcome(), as_json=as_json)
        return
    found = Outcome()
    if metric and path and before:
        champion = registry.version(client, registry.Reference(version.model, number=before))
        found = _evaluated(
            workspace, client, champion, version, path, metric, least, min_gain,
            dry_run=dry_run, as_json=as_json,
        )  # fmt: skip
        if refusal := _refusal(found, version, alias):
            _print(version.model, found, as_json=as_json)
            raise refusal
    elif metric:
        output.tell(f"{version.model} has no {alias} to compare with.")
    if not dry_run:
        evidence = found.evidence.run_id if found.evidence else None
        move = aliases.move(client, version, alias, before, "promote", evidence)
        found = replace(found, move=move)
    elif not as_json:
        click.echo(f"{alias} of {version.model} would be moved: {before or 'none'} → {version.number}")
    _print(version.model, found, as_json=as_json)
    if found.move:
        follow(workspace, version.model, alias)


def _checked(
    metric: str | None, dataset: str | None, floors: Mapping[str, str], min_gain: float
) -> dict[str, float]:
    """The floors as numbers. Raises `InvalidInput` for options that do not go together."""
    if bool(metric) != bool(dataset) or ((floors or min_gain) and not metric):
        raise InvalidInput(
            "--if-better, --on, --floor and --min-gain go together.",
            "For instance: --if-better val_accuracy --on DATASET",
        )
    least = {}
    for name, text in floors.items():
        try:
            least[name] = float(text)
        except ValueError:
            least[name] = -1
        if not 0 <= least[name] <= 1:
            raise InvalidInput(f"--floor {name}={text} is not a recall.", "Use a number between 0 and 1.")
    return least


def _path(workspace: Workspace, dataset: str) -> Path:
    from trainer.datasets import catalog

    for path in (workspace.data / dataset, Path(dataset)):
        if path.exists():
            return path
    raise InvalidInput(
        f"--on names {dataset}, which is not in {workspace.data}.", catalog.missing(workspace, dataset)
    )


def _evaluated(
    workspace: Workspace, client: Client, champion: Version, challenger: Version, path: Path, metric: str,
    floors: Mapping[str, float], min_gain: float, *, dry_run: bool, as_json: bool,
) -> Outcome:  # fmt: skip
    from trainer.models import evaluation
    from trainer.subprocesses import interruptible

    with interruptible():
        with output.Bar() as bar:
            before, now = (evaluation.entrant(workspace, each, bar) for each in (champion, challenger))
            found = evaluation.evaluate(client, before, now, path, metric, floors, bar)
        if not as_json:
            _show(found, champion, challenger)
        if dry_run:
            return Outcome(found)
        with output.Bar() as bar:
            bar("Keeping the evaluation", 0, 1)
            return Outcome(found, evaluation.keep(client, found, champion, challenger, min_gain))


def _show(evaluation: Evaluation, champion: Version, challenger: Version) -> None:
    compared = evaluation.comparison
    split = f" ({evaluation.samples.split})" if evaluation.samples.split else ""
    click.echo(f"{compared.metric} on {compared.samples} samples of {evaluation.samples.name}{split}")
    output.table(
        ["", compared.metric, "95 % INTERVAL"],
        [
            (name, f"{found.value:.4f}", f"{found.low:.4f} … {found.high:.4f}")
            for name, found in (
                (f"{champion.model}@{champion.number}", compared.champion),
                (f"{challenger.model}@{challenger.number}", compared.challenger),
                ("gain", compared.difference),
            )
        ],
        numbers=2,
    )
    click.echo(f"p = {compared.p:.3g}: {compared.verdict.value}")
    for remark in evaluation.remarks:
        output.tell(remark)


def _print(name: str, outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        output.as_json({
            "comparison": outcome.evaluation.as_data() if outcome.evaluation else None,
            "evidence": outcome.evidence.run_id if outcome.evidence else None,
            "move": asdict(outcome.move) if outcome.move else None,
        })  # fmt: skip
    elif outcome.move:
        report(name, outcome.move)


def _refusal(outcome: Outcome, version: Version, alias: str) -> TrainerError | None:
    """Why the version is not to be promoted."""
    from trainer.models.verdict import Verdict

    if outcome.evaluation is None:
        return None
    compared = outcome.evaluation.comparison
    name = f"{version.model}@{version.number}"
    hint = f"Promote it all the same: trainer models promote {name} --alias {alias}"
    if compared.below:
        recalls = ", ".join(f"{of} {recall:.3f}" for of, recall in compared.below.items())
        return NotBetter(f"{name} is below the floor of a class: {recalls}.", hint)
    if compared.verdict is Verdict.TOO_FEW:
        needed = f"With some {compared.needed:,} they might. " if compared.needed else ""
        return TooFewSamples(
            f"{compared.samples} samples do not tell whether {name} is better.", needed + hint
        )
    if compared.verdict is not Verdict.BETTER:
        return NotBetter(f"{name} is {compared.verdict.value} in {compared.metric}.", hint)
    if outcome.evidence and outcome.evidence.failure:
        return NotBetter(f"{name} gains too little: {outcome.evidence.failure}", hint)
    return None
