"""Queues of two workspaces on one machine with three pretend GPUs, whose workers are killed."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pretend_gpus
import pytest
from mlflow.entities import Run
from pretend_gpus import PretendEngine
from queues import Queue
from support import Site

pytestmark = pytest.mark.root
PROJECT = """
name: stamp
docker_env: {image: trainer/tiny}
entry_points:
  main: {command: "sh -c 'nvidia-smi -L; cat /proc/uptime; sleep 1; cat /proc/uptime'"}
"""
KILLED = 5


@pytest.fixture(scope="module")
def engine() -> Iterator[PretendEngine]:
    with pretend_gpus.engine() as started:
        yield started


@pytest.fixture
def queues(
    engine: PretendEngine, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Queue]]:
    monkeypatch.setenv("DOCKER_HOST", engine.address)
    sites: list[Site] = []
    for port in (5761, 5762):
        place = tmp_path_factory.mktemp("gpus")
        sites.append(pretend_gpus.site(place, port, {"stamp": PROJECT}, engine))
    made = [Queue(site) for site in sites]
    yield made
    for each in made:
        each.close()
        each.site.trainer("server", "down", "--force")


def used(queue: Queue, run: Run, place: Path) -> list[tuple[str, float, float]]:
    """The GPUs that the run saw, and from when to when, in seconds since the machine was started."""
    log = queue.site.log(run.info.run_id, place)
    began, ended = (float(line.split()[0]) for line in re.findall(r"^\d+\.\d+ \d+\.\d+$", log, re.MULTILINE))
    return [(uuid, began, ended) for uuid in re.findall(r"GPU-[\w-]+", log)]


@pytest.mark.timeout(1200)
def test_twelve_entries_on_three_gpus_from_two_workspaces_with_five_killed_workers(
    queues: list[Queue], tmp_path: Path
) -> None:
    for queue in queues:
        queue.do("pause")
    asked = ["1", "2", "1", "1", "device=0", "1"]
    entries = [(queue, queue.add("--gpus", gpus), gpus) for gpus in asked for queue in queues]
    for queue in queues:
        (queue.site.root / ".trainer" / "queue" / "paused").unlink()
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    for number in range(KILLED):
        workers = [queue.site.start("queue", "work") for queue in queues]
        time.sleep(chance.uniform(1, 8))
        queues[number % 2].kill()
        for worker in workers:
            worker.kill()
            worker.communicate()
    workers = [queue.site.start("queue", "work", "--until-empty") for queue in queues]
    for worker in workers:
        _, err = worker.communicate(timeout=600)
        assert worker.returncode == 0, err
    assert [queue.listed() for queue in queues] == [{}, {}]
    runs = [(queue, queue.run_of(entry), gpus) for queue, entry, gpus in entries]
    assert [run.info.status for _, run, _ in runs] == ["FINISHED"] * 12
    assert len({run.info.run_id for _, run, _ in runs}) == 12
    for queue in queues:
        others = {run.info.status for run in queue.site.runs()} - {"FINISHED"}
        assert others <= {"KILLED"}
        finished = [run for run in queue.site.runs() if run.info.status == "FINISHED"]
        assert len(finished) == 6
    uses = [use for queue, run, _ in runs for use in used(queue, run, tmp_path / run.info.run_id)]
    assert [len(used(queue, run, tmp_path / "again" / run.info.run_id)) for queue, run, _ in runs] == [
        2 if gpus == "2" else 1 for _, _, gpus in runs
    ]
    for gpu in {uuid for uuid, _, _ in uses}:
        times = sorted((began, ended) for uuid, began, ended in uses if uuid == gpu)
        assert all(first[1] <= second[0] for first, second in pairwise(times)), (gpu, times)


def test_more_gpus_than_there_are_is_refused_when_it_is_queued(queues: list[Queue]) -> None:
    refused = queues[0].site.trainer("run", "stamp", "--queue", "--gpus", "4")
    assert refused.code == 88
    assert refused.error[0] == "Error: --gpus 4: the machine has 3 GPUs."
    assert queues[0].listed() == {}


def test_the_list_says_who_has_the_gpus(queues: list[Queue]) -> None:
    first, second = queues
    entry = first.add("--gpus", "all")
    waiting = second.add("--gpus", "1")
    listed = second.until(lambda listed: not listed or "in use by" in str(listed[waiting]["why"]))
    if listed:
        who = r"([a-z]+-[a-z]+-\d+ \([0-9a-f]{8}\)|a run that is about to start)"
        assert re.search(rf"GPU \d \(.*\) is in use by {who}", str(listed[waiting]["why"]))
    for queue in queues:
        queue.until_empty()
    assert first.run_of(entry).info.status == second.run_of(waiting).info.status == "FINISHED"
