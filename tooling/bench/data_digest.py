"""What the digest of a dataset costs that did not change, beside `git status` on the same files.

    python tooling/bench/data_digest.py [--json] [--record]

It makes a tree of small files, commits it to a git repository and lets everything settle. All are whole
processes. It takes 2 GB of disk and some minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import click
from bench.ratios import Figures, Goal, finish, median, options, process, take_turns

WAYS = {
    "snapshot": "trainer data snapshot, unchanged",
    "verify": "trainer data verify, unchanged",
    "git": "git status",
    "full": "trainer data verify --full, which reads them all",
}


@click.command(help=__doc__)
@options()
@click.option("--files", default=100_000, show_default=True)
@click.option("--bytes", "size", default=8_000, show_default=True, help="Of a file.")
def main(rounds: int, files: int, size: int, *, as_json: bool, record: bool) -> None:
    """Print the table or JSON; exit with 1 where the figures are not what is promised."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        _make(root, files, size)
        time.sleep(3)  # so that neither index holds what is too young to be trusted
        trainer = [sys.executable, "-m", "trainer", "--workspace", str(root), "data"]
        commands = {
            "snapshot": [*trainer, "snapshot", "pictures"],
            "verify": [*trainer, "verify", "pictures"],
            "git": ["git", "-C", str(root / "data" / "pictures"), "status", "--porcelain"],
            "full": [*trainer, "verify", "pictures", "--full"],
        }
        process(commands["snapshot"])
        manifest = (root / "data" / "pictures.manifest.json").read_bytes()
        # git is to keep what it finds, as trainer does.
        variants = {
            variant: partial(process, command, environment={"GIT_OPTIONAL_LOCKS": "1"})
            for variant, command in commands.items()
        }
        taken = take_turns(variants, rounds)
        if (root / "data" / "pictures.manifest.json").read_bytes() != manifest:
            raise click.ClickException("The manifest of the unchanged dataset has changed")
    cost = {variant: median(figures) for variant, figures in taken.items()}
    goals = [
        Goal("snapshot of what did not change / reading it all", cost["snapshot"] / cost["full"], most=1 / 3),
        Goal("snapshot of what did not change / git status", cost["snapshot"] / cost["git"], most=10),
        Goal("verify of what did not change / git status", cost["verify"] / cost["git"]),
    ]
    finish(Figures("data_digest", WAYS, taken, goals), as_json=as_json, record=record)


def _make(root: Path, files: int, size: int) -> None:
    (root / "trainer.yaml").touch()
    folder = root / "data" / "pictures"
    for number in range(files):
        path = folder / f"class_{number % 20}" / f"{number:06}.jpg"
        if number < 20:
            path.parent.mkdir(parents=True)
        path.write_bytes(number.to_bytes(8, "big") + bytes(size - 8))
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "pictures"]):
        subprocess.run(["git", "-C", str(folder), *identity, *words], check=True)


if __name__ == "__main__":
    main()
