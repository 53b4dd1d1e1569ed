"""What the digest of a data set costs that did not change, beside `git status` on the same files.

    .venv/bin/python tooling/bench/data_digest.py

It makes a tree of small files, commits it to a git repository, lets everything settle, and takes turns:
trainer with its index, `git status`, and trainer reading everything. All are processes, start included. It
exits with 1 when trainer takes more than a third of the time that reading everything takes, or more than 10
times as long as git, or changes the manifest.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

WAYS = {
    "snapshot": "trainer data snapshot, unchanged",
    "verify": "trainer data verify, unchanged",
    "git": "git status",
    "full": "trainer data verify --full",
}
MOST_OF_FULL, MOST_OF_GIT = 1 / 3, 10


@click.command(help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--files", default=100_000, show_default=True)
@click.option("--bytes", "size", default=8_000, show_default=True, help="Of a file.")
@click.option("--rounds", default=3, show_default=True)
def main(as_json: bool, files: int, size: int, rounds: int) -> None:
    """Print the table or JSON; exit with 1 where the figures are not what is promised."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        _make(root, files, size)
        time.sleep(3)  # so that neither index holds what is too young to be trusted
        trainer = [sys.executable, "-m", "trainer", "--workspace", str(root), "data"]
        commands = {
            "snapshot": [*trainer, "snapshot", "pictures"],
            "verify": [*trainer, "verify", "pictures"],
            "git": ["git", "-C", str(root / "data" / "pictures"), "status", "--porcelain"],
            "full": [*trainer, "verify", "pictures", "--full"],
        }
        _run(commands["snapshot"])
        _run(commands["git"])
        manifest = (root / "data" / "pictures.manifest.json").read_bytes()
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way, command in commands.items():
                start = time.perf_counter()
                _run(command)
                times[way].append(time.perf_counter() - start)
        same = (root / "data" / "pictures.manifest.json").read_bytes() == manifest
    cost = {way: statistics.median(taken) for way, taken in times.items()}
    if as_json:
        click.echo(json.dumps({"seconds": cost, "files": files, "manifest_unchanged": same}, indent=2))
    else:
        for way, said in WAYS.items():
            click.echo(f"{said:40} {cost[way]:6.2f} s  {cost[way] / cost['git']:5.2f} times git")
    slow = cost["snapshot"] > min(cost["full"] * MOST_OF_FULL, cost["git"] * MOST_OF_GIT)
    sys.exit(slow or not same)


def _make(root: Path, files: int, size: int) -> None:
    (root / "trainer.yaml").touch()
    folder = root / "data" / "pictures"
    for number in range(files):
        place = folder / f"class_{number % 20}" / f"{number:06}.jpg"
        if number < 20:
            place.parent.mkdir(parents=True)
        place.write_bytes(number.to_bytes(8, "big") + bytes(size - 8))
    who = ["-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "pictures"]):
        _run(["git", "-C", str(folder), *who, *words])


def _run(command: list[str]) -> None:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


if __name__ == "__main__":
    main()
