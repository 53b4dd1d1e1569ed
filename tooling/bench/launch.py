"""What launching a project that does nothing costs above `docker run` of its command, beside `mlflow run`.

    python tooling/bench/launch.py [--json] [--record]

All are whole commands, from their start to their end, with the image there and the tracking server running.
It takes an engine (TRAINER_BASE_IMAGE is respected) and some minutes.
"""

from __future__ import annotations

import click
from bench.ratios import Figures, Goal, finish, median, options, take_turns
from bench.workspaces import place

WAYS = {
    "docker": "docker run",
    "trainer": "trainer run",
    "mlflow": "mlflow run (the code does not reach the container)",
    "build": "mlflow run --build-image",
}


@click.command(help=__doc__)
@options()
@click.option("--port", default=5650, show_default=True, help="Of the tracking server.")
@click.option("--command", default="true", show_default=True, help="What the project runs.")
def main(rounds: int, port: int, command: str, *, as_json: bool, record: bool) -> None:
    """Print the table or JSON; exit with 1 if launching costs more than is promised."""
    with place(port, command) as workspace:
        taken = take_turns(
            {
                "docker": lambda: workspace.docker_run(command),
                "trainer": workspace.launch,
                "mlflow": workspace.mlflow_run,
                "build": lambda: workspace.mlflow_run("--build-image"),
            },
            rounds,
        )
    raw = median(taken["docker"])
    above = {variant: median(taken[variant]) - raw for variant in WAYS}
    goals = [
        Goal(
            "launch overhead above docker run: trainer / mlflow run",
            above["trainer"] / above["mlflow"],
            most=0.1,
        ),
        Goal("the same, of mlflow run --build-image", above["trainer"] / above["build"]),
        Goal("trainer run / docker run", median(taken["trainer"]) / raw),
    ]
    finish(Figures("launch", WAYS, taken, goals), as_json=as_json, record=record)


if __name__ == "__main__":
    main()
