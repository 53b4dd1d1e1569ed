"""Whether launching costs more beside much data, many files, a long history or a large dataset.

    python tooling/bench/independence.py [--json] [--record]

Each way is a project that does nothing. It takes an engine (TRAINER_BASE_IMAGE is respected), 2.5 GB of disk
and some minutes.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from bench.ratios import Figures, Goal, finish, median, options, take_turns
from bench.workspaces import BenchWorkspace, place

WAYS = {
    "empty": "nothing but the MLproject",
    "ignored-100mb": "100 MB in the folder, ignored by git",
    "ignored-1gb": "1 GB in the folder, ignored by git",
    "ignored-files": "20,000 files in the folder, ignored by git",
    "history": "10,000 runs in the experiment",
    "data-files": "a dataset of 100,000 files, unchanged",
    "data-1gb": "a dataset of 1 GB in 8 files, unchanged",
    "tracked-files": "20,000 files in the folder that are code, unchanged",
    "mlflow-files": "mlflow run --build-image with the same 20,000 files",
}
MOST = {"ignored-100mb": 1.1, "ignored-1gb": 1.1, "ignored-files": 1.1, "history": 1.1, "data-1gb": 1.1}
DATASETS = {"data-files": "many", "data-1gb": "large"}
PEERS = {"mlflow-files": "tracked-files"}


@click.command(help=__doc__)
@options()
@click.option("--port", default=5651, show_default=True, help="Of the tracking server.")
@click.option("--way", "chosen", multiple=True, type=click.Choice(list(WAYS)), help="Only these, and empty.")
def main(rounds: int, port: int, chosen: tuple[str, ...], *, as_json: bool, record: bool) -> None:
    """Print the table or JSON; exit with 1 if launching depends on what it should not."""
    selected = {"empty", *chosen, *(PEERS[variant] for variant in chosen if variant in PEERS)}
    variants = [variant for variant in WAYS if variant in selected or not chosen]
    with place(port) as workspace:
        for variant in variants:
            if variant not in PEERS:
                _make(workspace, variant)
        workspace.commit()
        if "history" in variants:
            workspace.launch("history")
            _lengthen(workspace, 10_000)
        time.sleep(3)  # so that the index trusts what is in data/
        if "tracked-files" in variants:
            workspace.launch(
                "tracked-files"
            )  # the next launch finds it unchanged, and the one after that kept
        taken = take_turns({variant: _launch(workspace, variant) for variant in variants}, rounds)
    empty = median(taken["empty"])
    goals = [
        Goal(
            f"launch with {WAYS[variant]} / {WAYS['empty']}",
            median(taken[variant]) / empty,
            most=MOST.get(variant),
        )
        for variant in variants[1:]
        if variant not in PEERS
    ]
    goals += [
        Goal(
            f"launch with {WAYS[variant]} / {WAYS[peer]}",
            median(taken[variant]) / median(taken[peer]),
            most=1,
        )
        for peer, variant in PEERS.items()
        if peer in variants
    ]
    finish(Figures("independence", WAYS, taken, goals), as_json=as_json, record=record)


def _launch(workspace: BenchWorkspace, variant: str) -> Callable[[], float]:
    if variant in PEERS:
        return partial(workspace.mlflow_run, "--build-image", project=PEERS[variant])
    return partial(workspace.launch, variant)


def _make(workspace: BenchWorkspace, variant: str) -> None:
    folder = workspace.project(variant, dataset=DATASETS.get(variant))
    if variant == "ignored-100mb":
        _fill(folder / "weights.ignored", 100_000_000)
    elif variant == "ignored-1gb":
        _fill(folder / "weights.ignored", 1_000_000_000)
    elif variant == "ignored-files":
        _files(folder, 20_000, ".ignored")
    elif variant == "tracked-files":
        _files(folder, 20_000, ".py")
    elif variant == "data-files":
        _files(workspace.root / "data" / DATASETS[variant], 100_000, ".txt")
    elif variant == "data-1gb":
        large = workspace.root / "data" / DATASETS[variant]
        large.mkdir()
        for number in range(8):
            _fill(large / f"{number}.bin", 128_000_000)


def _fill(file: Path, size: int) -> None:
    with file.open("wb") as content:
        os.posix_fallocate(content.fileno(), 0, size)


def _files(folder: Path, count: int, suffix: str) -> None:
    for number in range(count):
        file = folder / f"{number // 1000:03}" / f"{number:06}{suffix}"
        if number % 1000 == 0:
            file.parent.mkdir(parents=True)
        file.write_text(f"{number}\n")


def _lengthen(workspace: BenchWorkspace, count: int) -> None:
    """Give the experiment of the project `history` so many runs, each like its first."""
    database = sqlite3.connect(workspace.root / "mlruns" / "mlflow.db", timeout=60)
    with database:
        [first] = database.execute(
            "SELECT run_uuid FROM runs JOIN experiments USING (experiment_id)"
            " WHERE experiments.name = 'history'"
        ).fetchone()
        for table in ("runs", "tags", "params", "latest_metrics", "metrics"):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            values = ", ".join("printf('%032x', n)" if name == "run_uuid" else name for name in columns)
            database.execute(
                f"WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {count})"  # noqa: S608
                f" INSERT INTO {table} ({', '.join(columns)})"
                f" SELECT {values} FROM {table}, many WHERE run_uuid = '{first}'"
            )
    database.close()


if __name__ == "__main__":
    main()
