"""How long a machine idles between two entries of a queue: `trainer run --queue`, and HyperQueue.

    python tooling/bench/queues.py [--json] [--record]

Scripts of a second, each of which has the whole machine, one after the other: from the end of one to the
first line of the next. HyperQueue, a daemon, runs `docker run` of the same script in the same image; the
runs of trainer's are made on the tracking server besides, and delivered. It takes an engine
(TRAINER_BASE_IMAGE is respected), the package registry, and some minutes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from bench.ratios import Figures, Goal, finish, median, options, process, take_turns
from bench.sweeping import projects
from bench.sweeping.projects import INSIDE, output
from bench.sweeping.trials import gaps, of_output
from bench.workspaces import BIN, BenchWorkspace, environment, place
from trainer.queue import folder
from trainer.queue.folder import QueueFolder
from trainer.workspace import settings

WAYS = {
    "alone": "trainer run --queue, left alone",
    "work": "trainer queue work in a terminal",
    "hyperqueue": "HyperQueue",
}
_WHOLE = """\
import sys

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig
from hyperqueue.task.task import ResourceRequest

count, command = int(sys.argv[1]), sys.argv[2:]
with LocalCluster() as cluster:
    cluster.start_worker(WorkerConfig(cores=1))
    job = Job(max_fails=0)
    for number in range(count):
        job.program(command, stdout=f"said-{number}", resources=ResourceRequest(cpus=1))
    client = cluster.client()
    client.wait_for_jobs([client.submit(job)])
"""
_POLL_S, _MOST_S = 0.2, 600


@dataclass(frozen=True)
class Queue:
    """A queue of `count` entries. Each way returns the median of its gaps, in seconds."""

    place: BenchWorkspace
    hyperqueue: Path
    """The folder of its environment."""
    count: int
    cores: int

    @property
    def _folder(self) -> QueueFolder:
        return folder.of(settings.find(self.place.root))

    def alone(self) -> float:
        """By the process in the background that every command on the queue starts."""
        names = self._queue()
        self._trainer("queue", "resume")
        began = time.monotonic()
        while not all(entry.started.exists() for entry in self._folder.entries()):
            if time.monotonic() - began > _MOST_S:
                raise click.ClickException("The queue has not become empty.")
            time.sleep(_POLL_S)
        self._trainer("queue", "work", "--until-empty")  # waits for the last one
        return self._gap(names)

    def work(self) -> float:
        """By a process in the foreground."""
        names = self._queue()
        self._folder.paused.unlink()  # `resume` would start another process
        self._trainer("queue", "work", "--until-empty")
        return self._gap(names)

    def install(self) -> None:
        """HyperQueue, into an environment of its own."""
        process([BIN / "uv", "venv", "--quiet", "--python", sys.executable, self.hyperqueue])
        python = self.hyperqueue / "bin" / "python"
        process([BIN / "uv", "pip", "install", "--quiet", "--python", python, "hyperqueue"])

    def by_hyperqueue(self) -> float:
        """By its server and its one worker."""
        (self.hyperqueue / "whole.py").write_text(_WHOLE)
        command = ["docker", "run", "--rm", "--init", "--volume", f"{INSIDE / 'short.py'}:/short.py:ro",
                   self.place.image, "python", "/short.py"]  # fmt: skip
        python = self.hyperqueue / "bin" / "python"
        output([python, "whole.py", str(self.count), *command], self.hyperqueue, {})
        said = (self.hyperqueue / f"said-{number}" for number in range(self.count))
        return median(gaps(of_output("\n".join(file.read_text() for file in said)), 1))

    def _queue(self) -> list[str]:
        self._trainer("queue", "pause")
        names = [f"short-{time.monotonic_ns()}-{number}" for number in range(self.count)]
        for name in names:
            self._trainer("run", projects.SHORT, "--queue", "--cpus", str(self.cores), "--run-name", name)
        return names

    def _gap(self, names: list[str]) -> float:
        said = "\n".join(projects.logs(self.place, name) for name in names)
        return median(gaps(of_output(said), 1))

    def _trainer(self, *arguments: str) -> str:
        return output([BIN / "trainer", *arguments], self.place.root, environment())


@click.command(help=__doc__)
@options(rounds=3)
@click.option("--port", default=5654, show_default=True, help="Of the tracking server.")
@click.option("--entries", default=8, show_default=True)
def main(rounds: int, port: int, entries: int, *, as_json: bool, record: bool) -> None:
    """Print the table or JSON; exit with 1 if the gap is longer than is promised."""
    with place(port) as workspace, tempfile.TemporaryDirectory() as made:
        projects.make(workspace)
        cores = int(output(["docker", "info", "--format", "{{.NCPU}}"], workspace.root, {}))
        queue = Queue(workspace, Path(made), entries, cores)
        queue.install()
        ways: dict[str, Callable[[], float]] = {
            "alone": queue.alone, "work": queue.work, "hyperqueue": queue.by_hyperqueue,
        }  # fmt: skip
        taken = take_turns(ways, rounds, warm=0)
    gap = {way: median(taken[way]) for way in WAYS}
    goals = [
        Goal("gap, trainer run --queue / HyperQueue", gap["alone"] / gap["hyperqueue"], most=1.5),
        Goal("gap, trainer queue work / HyperQueue", gap["work"] / gap["hyperqueue"]),
    ]
    finish(Figures("queues", WAYS, taken, goals, "seconds between two"), as_json=as_json, record=record)


if __name__ == "__main__":
    main()
