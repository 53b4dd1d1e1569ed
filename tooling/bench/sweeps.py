"""What a search costs beside its trials' own time: `trainer sweep`, Hydra with joblib, and `mlflow run`.

    python tooling/bench/sweeps.py [--json] [--record] [--scale 0.1]

Twenty trials that sleep for 5 to 15 s, two at once; then how soon a trial with TensorFlow logs a metric,
forked and in a container of its own; how soon one that is not promising is told to stop; and how much CPU the
process of a sweep takes while its trials go on. Hydra starts a process for each trial: it has no container,
and tracks nothing. It takes an engine (TRAINER_BASE_IMAGE is respected), the package registry, and eight
minutes a round; with --scale 0.1 three, which say nothing about what is promised.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from bench.ratios import Figures, Goal, finish, median, options, take_turns
from bench.sweeping import controller, first_metrics, projects
from bench.sweeping.first_metrics import FirstMetrics
from bench.sweeping.trials import Searched
from bench.sweeping.ways import Hydra, Uneven
from bench.workspaces import place

WAYS = {
    "trainer": "trainer sweep",
    "hydra": "Hydra, Optuna and joblib (no container, no tracking)",
    "mlflow": "mlflow run, two at a time",
}
_STEADY_S = 60


@click.command(help=__doc__)
@options(rounds=3)
@click.option("--port", default=5653, show_default=True, help="Of the tracking server.")
@click.option("--scale", default=1.0, show_default=True, help="Of the seconds of all trials.")
@click.option("--trials", "count", default=20, show_default=True)
@click.option("--only", type=click.Choice(list(WAYS)), multiple=True, help="Of the ways; any number.")
def main(
    rounds: int, port: int, scale: float, count: int, only: tuple[str, ...], *, as_json: bool, record: bool
) -> None:
    """Print the table or JSON; exit with 1 if a search costs more than is promised."""
    with place(port) as workspace, tempfile.TemporaryDirectory() as folder:
        projects.make(workspace)
        projects.make_stock(workspace)
        # Of two `mlflow run` at once, which both find none, one would fail.
        workspace.mlflow("experiments", "create", "--experiment-name", "mlflow")
        uneven = Uneven(workspace, scale, count)
        hydra = Hydra(Path(folder), uneven)
        searches: dict[str, Callable[[], Searched]] = {
            "trainer": uneven.trainer, "hydra": hydra.search, "mlflow": uneven.mlflow,
        }  # fmt: skip
        searches = {way: search for way, search in searches.items() if not only or way in only}
        if "hydra" in searches:
            hydra.install()
        found: dict[str, list[Searched]] = {way: [] for way in searches}

        def taking(way: str) -> Callable[[], float]:
            def take() -> float:
                found[way].append(searched := searches[way]())
                return searched.times_ideal

            return take

        taken = take_turns({way: taking(way) for way in searches}, rounds, warm=0)
        first_metrics.make(workspace)
        first: dict[bool, list[FirstMetrics]] = {True: [], False: []}
        for _ in range(rounds):
            for warm, found_so_far in first.items():
                found_so_far += first_metrics.of_sweep(workspace, 4, warm=warm)
        reactions = controller.reactions(workspace, 10)
        share = controller.cpu_share(workspace, 50, _STEADY_S)
    goals = [
        Goal(f"{WAYS[way]}: makespan / ideal", median(taken[way]), most=1.05 if way == "trainer" else None)
        for way in searches
    ]
    for way, all_ in found.items():
        gap = median([gap for searched in all_ for gap in searched.gaps])
        goals.append(Goal(f"{WAYS[way]}: seconds between two trials of a slot, median", gap))
    for way, all_ in found.items():
        cpu = median([searched.spent.cpu / count for searched in all_])
        goals.append(Goal(f"{WAYS[way]}: CPU seconds of the command, a trial", cpu))
    goals += [
        Goal(
            "first metric of a trial with TensorFlow, forked / in a container of its own",
            median([one.any_ for one in first[True]]) / median([one.any_ for one in first[False]]),
            most=0.35,
        ),
        Goal(
            f"its {first_metrics.JUDGED_BY}, after an epoch, forked / in a container of its own",
            median([one.judged for one in first[True]]) / median([one.judged for one in first[False]]),
            most=0.35,
        ),
        Goal("seconds from log_metric to the signal that stops the trial, median", median(reactions)),
        Goal("the same, the longest", max(reactions), most=1),
        Goal("CPU of the process of a sweep of 50 trials, two going on: cores", share, most=0.02),
    ]
    finish(Figures("sweeps", WAYS, taken, goals, "times the ideal makespan"), as_json=as_json, record=record)


if __name__ == "__main__":
    main()
