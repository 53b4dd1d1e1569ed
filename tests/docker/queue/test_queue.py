"""What is queued runs when its turn comes, as it was queued, once, whoever is killed meanwhile."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import docker
import pytest
from mlflow.entities import Run
from queues import Queue, add_project
from sites import left_behind
from support import Site

ROUNDS = 10
GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com")


def times(run: Run) -> tuple[float, float]:
    """When its script began and ended."""
    return run.data.metrics["began"], run.data.metrics["ended"]


def are_apart(runs: list[Run]) -> bool:
    """Whether no two ran at the same time."""
    ordered = sorted(map(times, runs))
    return all(first[1] <= second[0] for first, second in pairwise(ordered))


def test_what_was_queued_runs_as_it_was_though_the_project_changed_afterwards(
    site: Site, queue: Queue, tmp_path: Path
) -> None:
    for step in (["add", "train_code"], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*GIT, *step], cwd=site.root, check=True)
    now = site.trainer(
        "run", "stamp", "--seconds", "0.25", "--cpus", "1", "--seed", "3", "--tag", "colour=blue"
    )
    assert now.code == 0, now.err
    queue.do("pause")
    entry = queue.add(
        "--seconds", "0.25", "--cpus", "1", "--seed", "3", "--tag", "colour=blue", "--run-name", "first"
    )
    project = site.root / "train_code" / "stamp"
    (project / "stamp.py").write_text("raise SystemExit('the second version')\n")
    (project / "MLproject").write_text("name: stamp\nentry_points: {}\n")
    (site.root / "trainer.yaml").write_text(
        (site.root / "trainer.yaml").read_text() + "deterministic: true\n"
    )
    try:
        assert queue.listed()[entry]["why"] == "the queue is paused"
        queue.do("resume")
        queue.until_empty()
    finally:
        (site.root / "trainer.yaml").write_text(
            (site.root / "trainer.yaml").read_text().replace("deterministic: true\n", "")
        )
    run, before = queue.run_of(entry), site.run(now.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert "the first version" in site.log(run.info.run_id, tmp_path)
    own = {"mlflow.runName", "mlflow.trainer.launch", "mlflow.note.content"}
    tags = [{name: tag for name, tag in each.data.tags.items() if name not in own} for each in (run, before)]
    assert tags[0] == tags[1]
    assert "mlflow.source.git.commit" in tags[0]
    assert run.data.params == before.data.params
    records = [
        site.artifact(each.info.run_id, "trainer/run.json", tmp_path).read_text() for each in (run, before)
    ]
    assert records[0] == records[1]
    note = run.data.tags["mlflow.note.content"]
    assert note.replace(run.info.run_id[:8], "RUN") == before.data.tags["mlflow.note.content"].replace(
        before.info.run_id[:8], "RUN"
    )
    assert site.trainer("reproduce", run.info.run_id, "--dry-run").code == 0


def test_one_after_the_other_in_the_order_of_priorities(queue: Queue) -> None:
    queue.do("pause")
    first, second = queue.add(), queue.add()
    urgent, last = queue.add("--priority", "5"), queue.add()
    queue.do("move", last, "--first")
    queue.do("resume")
    queue.until_empty()
    runs = [queue.run_of(entry) for entry in (last, urgent, first, second)]
    assert [run.info.status for run in runs] == ["FINISHED"] * 4
    assert are_apart(runs)  # each needs all cores
    began = [times(run)[0] for run in runs]
    assert began == sorted(began)


def test_one_that_follows_another_begins_when_that_has_finished_and_is_held_if_it_failed(
    site: Site, queue: Queue
) -> None:
    queue.do("pause")
    good, bad = queue.add("--cpus", "1"), queue.add("--cpus", "1", "--code", "3")
    after_good, after_bad = (
        queue.add("--after", good, "--cpus", "1"),
        queue.add("--after", bad, "--cpus", "1"),
    )
    queue.do("resume")
    listed = queue.until(lambda listed: set(listed) == {after_bad} and listed[after_bad]["state"] == "held")
    assert listed[after_bad]["why"] == f"{bad}, which it was to follow, is FAILED"
    assert times(queue.run_of(good))[1] <= times(queue.run_of(after_good))[0]
    refused = site.trainer("run", "stamp", "--queue", "--after", bad)
    assert refused.code == 2
    assert refused.error[0] == f"Error: --after {bad}: {bad}, which it was to follow, is FAILED."
    queue.do("resume", after_bad)
    queue.until_empty()
    assert queue.run_of(after_bad).info.status == "FINISHED"


def test_a_run_that_was_started_in_the_foreground_lets_the_next_one_begin(site: Site, queue: Queue) -> None:
    process = site.start("run", "stamp", "--seconds", "6", "--cpus", str(docker.from_env().info()["NCPU"]))
    assert process.stdout
    for line in process.stdout:
        if "the first version" in line:
            break
    entry = queue.add()
    waiting = queue.until(lambda listed: "In use by" in str(listed[entry]["why"]))
    assert re.search(r"In use by [a-z]+-[a-z]+-\d+ \([0-9a-f]{8}\)", str(waiting[entry]["why"]))
    assert process.wait(60) == 0
    queue.until_empty()
    assert queue.run_of(entry).info.status == "FINISHED"


def test_more_than_the_machine_has_is_refused_when_it_is_queued(site: Site, queue: Queue) -> None:
    for arguments, message in (
        (["--cpus", "4096"], "--cpus 4096: the machine has "),
        (["--memory", "9000g"], "--memory 9000g: the machine has "),
    ):
        refused = site.trainer("run", "stamp", "--queue", *arguments)
        assert refused.code == 2
        assert refused.error[0].startswith(f"Error: {message}")
    assert queue.listed() == {}


def test_cancelling_one_that_is_started_says_how_to_stop_it(site: Site, queue: Queue) -> None:
    entry = queue.add("--seconds", "60")
    queue.until(lambda listed: listed[entry]["state"] == "running")
    refused = site.trainer("queue", "cancel", entry)
    assert refused.code == 2
    stop = refused.error[1].removeprefix("Hint:  To stop that: trainer ").split()
    assert site.trainer(*stop).code == 0
    queue.until_empty()
    assert queue.run_of(entry).info.status == "KILLED"


def test_a_worker_says_what_it_starts_and_leaves_it_running_when_it_is_stopped(
    site: Site, queue: Queue
) -> None:
    queue.do("pause")
    entry = queue.add("--seconds", "8")
    (site.root / ".trainer" / "queue" / "paused").unlink()
    worker = site.start("queue", "work")
    assert worker.stdout
    line = worker.stdout.readline()
    assert line.startswith(f"{entry} (stamp) has begun: ")
    done, _ = site.stop(worker, signal.SIGINT)
    assert done.code == 130
    assert done.error[1] == "Hint:  What waits stays in the queue. The runs that it started go on: trainer ps"
    queue.until_empty()
    assert queue.run_of(entry).info.status == "FINISHED"


@pytest.mark.timeout(1200)
def test_starters_that_are_killed_lose_nothing_and_start_nothing_twice(site: Site, queue: Queue) -> None:
    queue.do("pause")
    before = {run.info.run_id for run in site.runs()}
    entries = [queue.add("--cpus", "1", "--seconds", "0.1") for _ in range(6)]
    (site.root / ".trainer" / "queue" / "paused").unlink()
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        worker = site.start("queue", "work")
        time.sleep(chance.uniform(0.3, 5))
        queue.kill()
        worker.kill()
        worker.communicate()
    assert site.trainer("queue", "work", "--until-empty").code == 0
    queue.until_empty()
    became = {queue.run_of(entry).info.run_id for entry in entries}  # which waits for their delivery
    runs = [run for run in site.runs() if run.info.run_id not in before]
    finished = [run for run in runs if run.info.status == "FINISHED"]
    assert became == {run.info.run_id for run in finished}
    assert len(finished) == len(entries)
    ends = [run.data.tags["trainer.end"] for run in runs if run not in finished]
    assert set(ends) <= {"lost", "stopped before it started"}, ends
    assert [run for run in runs if run.info.status == "KILLED" and run.data.metrics] == []
    # What a launch had begun to prepare goes when it is old.
    assert all(name.startswith("new-") for name in site.left_behind())


def test_two_workspaces_on_one_engine_never_have_the_same(
    queue: Queue, client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Site(tmp_path_factory.mktemp("other"), 5311)
    add_project(other)
    queues = [queue, Queue(other)]
    try:
        for each in queues:
            each.do("pause")
        entries = [(each, each.add("--seconds", "1")) for _ in range(3) for each in queues]
        for each in queues:
            each.do("resume")
        for each in queues:
            each.until_empty()
        runs = [each.run_of(entry) for each, entry in entries]
        assert [run.info.status for run in runs] == ["FINISHED"] * 6
        assert are_apart(runs)
    finally:
        queues[1].close()
        left_behind(other, client)
        other.trainer("server", "down")


def test_nothing_of_a_queue_is_left_when_it_is_empty(site: Site, queue: Queue) -> None:
    entry = queue.add("--cpus", "1")
    queue.until_empty()
    assert queue.run_of(entry).info.status == "FINISHED"
    assert list((site.root / ".trainer" / "queue" / "entries").iterdir()) == []
    give_up = time.monotonic() + 20
    while queue.attending():
        assert time.monotonic() < give_up
        time.sleep(0.2)
    log = (site.root / ".trainer" / "queue" / "queue.log").read_text()
    assert "Traceback" not in log, log
