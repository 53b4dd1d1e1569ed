"""What the command line costs: help and completion beside bare imports, listing runs beside MLflow's own.

    python tooling/bench/cli.py [--json] [--record]

All are whole processes. It takes an engine (TRAINER_BASE_IMAGE is respected) and a minute.
"""

from __future__ import annotations

import sys

import click
from bench.ratios import Figures, Goal, finish, median, options, process, take_turns
from bench.workspaces import BIN, NAME, environment, place

WAYS = {
    "imports": "python -c 'import click, yaml'",
    "help": "trainer --help",
    "run-help": "trainer run PROJECT --help",
    "complete": "completion of a command",
    "complete-project": "completion of a project",
    "runs": "trainer runs",
    "mlflow": "mlflow runs list",
}
MOST = {"help": 2.0, "complete": 2.0}
RUNS = 5


@click.command(help=__doc__)
@options()
@click.option("--port", default=5652, show_default=True, help="Of the tracking server.")
def main(rounds: int, port: int, *, as_json: bool, record: bool) -> None:
    """Print the table or JSON; exit with 1 if the command line costs more than is promised."""
    with place(port) as workspace:
        for _ in range(RUNS):
            workspace.launch()

        def complete(words: str, count: int) -> float:
            completion = {"_TRAINER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
            return process([BIN / "trainer"], cwd=workspace.root, environment={**environment(), **completion})

        taken = take_turns(
            {
                "imports": lambda: process(
                    [sys.executable, "-c", "import click, yaml"], environment=environment()
                ),
                "help": lambda: workspace.trainer("--help"),
                "run-help": lambda: workspace.trainer("run", NAME, "--help"),
                "complete": lambda: complete("trainer bu", 1),
                "complete-project": lambda: complete("trainer run be", 2),
                "runs": lambda: workspace.trainer("runs"),
                "mlflow": lambda: workspace.mlflow("runs", "list", "--experiment-id", "1"),
            },
            rounds,
        )
    imports = median(taken["imports"])
    goals = [
        Goal(
            f"{WAYS[variant]} / bare imports of click and yaml",
            median(taken[variant]) / imports,
            most=MOST.get(variant),
        )
        for variant in ("help", "complete", "run-help", "complete-project")
    ]
    goals.append(
        Goal("trainer runs / mlflow runs list", median(taken["runs"]) / median(taken["mlflow"]), most=1)
    )
    finish(Figures("cli", WAYS, taken, goals), as_json=as_json, record=record)


if __name__ == "__main__":
    main()
