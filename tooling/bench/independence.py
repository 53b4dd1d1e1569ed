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
from bench.workspaces import Place, place

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
    wanted = {"empty", *chosen, *(PEERS[way] for way in chosen if way in PEERS)}
    ways = [way for way in WAYS if way in wanted or not chosen]
    with place(port) as here:
        for way in ways:
            if way not in PEERS:
                _make(here, way)
        here.commit()
        if "history" in ways:
            here.launch("history")
            _lengthen(here, 10_000)
        time.sleep(3)  # so that the index trusts what is in data/
        if "tracked-files" in ways:
            here.launch("tracked-files")  # the next launch finds it unchanged, and the one after that kept
        taken = take_turns({way: _launch(here, way) for way in ways}, rounds)
    empty = median(taken["empty"])
    goals = [
        Goal(f"launch with {WAYS[way]} / {WAYS['empty']}", median(taken[way]) / empty, most=MOST.get(way))
        for way in ways[1:]
        if way not in PEERS
    ]
    goals += [
        Goal(f"launch with {WAYS[way]} / {WAYS[peer]}", median(taken[way]) / median(taken[peer]), most=1)
        for peer, way in PEERS.items()
        if peer in ways
    ]
    finish(Figures("independence", WAYS, taken, goals), as_json=as_json, record=record)


def _launch(here: Place, way: str) -> Callable[[], float]:
    if way in PEERS:
        return partial(here.mlflow_run, "--build-image", project=PEERS[way])
    return partial(here.launch, way)


def _make(here: Place, way: str) -> None:
    folder = here.project(way, dataset=DATASETS.get(way))
    if way == "ignored-100mb":
        _fill(folder / "weights.ignored", 100_000_000)
    elif way == "ignored-1gb":
        _fill(folder / "weights.ignored", 1_000_000_000)
    elif way == "ignored-files":
        _files(folder, 20_000, ".ignored")
    elif way == "tracked-files":
        _files(folder, 20_000, ".py")
    elif way == "data-files":
        _files(here.root / "data" / DATASETS[way], 100_000, ".txt")
    elif way == "data-1gb":
        large = here.root / "data" / DATASETS[way]
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


def _lengthen(here: Place, count: int) -> None:
    """Give the experiment of the project `history` so many runs, each like its first."""
    database = sqlite3.connect(here.root / "mlruns" / "mlflow.db", timeout=60)
    with database:
        [first] = database.execute(
            "SELECT run_uuid FROM runs JOIN experiments USING (experiment_id)"
            " WHERE experiments.name = 'history'"
        ).fetchone()
        for table in ("runs", "tags", "params", "latest_metrics", "metrics"):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            said = ", ".join("printf('%032x', n)" if name == "run_uuid" else name for name in columns)
            database.execute(
                f"WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {count})"  # noqa: S608
                f" INSERT INTO {table} ({', '.join(columns)})"
                f" SELECT {said} FROM {table}, many WHERE run_uuid = '{first}'"
            )
    database.close()


if __name__ == "__main__":
    main()
