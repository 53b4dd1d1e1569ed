"""A sweep on a real engine: its trials, its end, and going on after whatever happened to its controller."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import docker
import pytest
import yaml
from mlflow.entities import Run
from support import PROJECTS, Result, Site
from trainer.workspace import run_folder
from trainer.workspace.settings import find

SEARCH = ("--search", "x=uniform:-5,5", "--search", "depth=int:2,8", "--search", "kind=a,b")
METRIC = ("--metric", "score", "--goal", "maximize")


class Trial(TypedDict):
    """As `--json` has it."""

    trial: int
    state: str
    parameters: dict[str, str]
    metrics: dict[str, float]
    run_ids: list[str]


class Sweep(TypedDict):
    """As `--json` has it."""

    run_id: str
    status: str
    best: list[Trial]
    trials: list[Trial]


@pytest.fixture(autouse=True)
def _project(site: Site, nothing_left: None) -> Iterator[None]:  # noqa: ARG001 (it looks afterwards)
    shutil.copytree(PROJECTS / "tune", site.root / "train_code" / "tune", dirs_exist_ok=True)
    yield
    for folder in unfinished(site):  # one that was stopped could go on
        shutil.rmtree(folder)
    # What a process was making when it was killed is removed later, when nobody can be at it any more.
    for path in run_folder.parent(find(site.root)).glob(f"{run_folder.UNNAMED}*"):
        shutil.rmtree(path)


def sweep(site: Site, *options: str) -> Sweep:
    """`trainer sweep tune`, which has to come to its end."""
    done = site.trainer("sweep", "tune", *options, "--json")
    assert done.code == 0, done.err
    payload: Sweep = json.loads(done.out)
    return payload


def children(site: Site, parent: str) -> list[Run]:
    """The runs of its trials."""
    experiment = site.run(parent).info.experiment_id
    return list(site.client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'"))


def killed(process: subprocess.Popen[str], after_s: float) -> bool:
    """Whether it still ran when it was killed."""
    try:
        process.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    return False


def until(process: subprocess.Popen[str], beginning: str) -> None:
    """Return when a line on stderr begins so."""
    assert process.stderr
    assert any(line.startswith(beginning) for line in process.stderr)


def unfinished(site: Site) -> list[Path]:
    """Folders of sweeps that can go on."""
    return sorted((site.root / ".trainer" / "sweeps").glob("*/"))


def test_the_best_trial_is_found_and_the_parent_says_so(site: Site, tmp_path: Path) -> None:
    found = sweep(site, *SEARCH, *METRIC, "--trials", "6", "--parallel", "2", "--try", "x=2,depth=5,kind=a")
    assert [trial["state"] for trial in found["trials"]] == ["finished"] * 6
    assert found["trials"][0]["parameters"] == {"x": "2.0", "depth": "5", "kind": "a"}
    [best] = found["best"]
    assert best["trial"] == 0
    assert best["metrics"] == {"score": 0.0}
    parent = site.run(found["run_id"])
    assert parent.info.status == "FINISHED"
    assert parent.data.params == best["parameters"]
    assert parent.data.tags["trainer.best_run"] == best["run_ids"][0]
    runs = children(site, found["run_id"])
    assert sorted(run.data.tags["trainer.trial"] for run in runs) == list("012345")
    assert all("mlflow.trainer.code_digest" in run.data.tags for run in runs)
    assert len({run.data.tags["mlflow.trainer.code_digest"] for run in runs}) == 1
    with site.artifact(found["run_id"], "sweep/trials.csv", tmp_path).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["run_ids"] for row in rows] == [trial["run_ids"][0] for trial in found["trials"]]
    assert unfinished(site) == []
    params = site.artifact(found["run_id"], "best.yaml", tmp_path)
    assert yaml.safe_load(params.read_text()) == {"x": 2.0, "depth": 5, "kind": "a"}
    again = site.trainer("run", "tune", "--params", str(params))
    assert again.code == 0, again.err
    assert site.run(again.run_id).data.metrics["score"] == 0.0


def test_no_trial_is_lost_and_none_is_run_twice_whenever_the_controller_is_killed(site: Site) -> None:
    moments = random.Random(5)
    trials, kills = 12, 0
    command = ("tune", *SEARCH, *METRIC, "--trials", str(trials), "--parallel", "2", "-P", "seconds=1")
    while kills < 6 and killed(site.start("sweep", *command), moments.uniform(1, 5)):
        kills += 1
    found = sweep(site, *command[1:])
    assert kills >= 3
    assert [trial["trial"] for trial in found["trials"]] == list(range(trials))
    runs = children(site, found["run_id"])
    finished = [run for run in runs if run.info.status == "FINISHED"]
    assert Counter(run.data.tags["trainer.trial"] for run in finished) == Counter(map(str, range(trials)))
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    scores = {run.info.run_id: run.data.metrics["score"] for run in finished}
    best = max(scores, key=lambda run_id: scores[run_id])
    assert site.run(found["run_id"]).data.tags["trainer.best_run"] == best


def test_of_two_of_the_same_command_at_once_one_is_refused(site: Site) -> None:
    command = ("tune", *SEARCH, *METRIC, "--trials", "2", "-P", "seconds=8", "--json")
    both = [site.start("sweep", *command) for _ in range(2)]
    ended = [(process.communicate(timeout=180), process.returncode) for process in both]
    assert sorted(code for _, code in ended) == [0, 2]
    [out] = [out for (out, _), code in ended if code == 0]
    [err] = [err for (_, err), code in ended if code == 2]
    begun: Sweep = json.loads(out)
    assert f"Error: Another process runs the sweep {begun['run_id'][:8]}." in err.splitlines()
    assert len(children(site, begun["run_id"])) == 2
    assert unfinished(site) == []


def test_more_memory_than_there_is_leaves_no_run(site: Site) -> None:
    before = len(site.runs())
    for dry in ((), ("--dry-run",)):
        refused = site.trainer("sweep", "tune", *SEARCH, *METRIC, "--memory", "90000g", *dry)
        assert refused.code == 2
        assert refused.error[0].startswith("Error: --memory 90000g: 1 trial needs 90000g; this machine has ")
    assert len(site.runs()) == before
    assert unfinished(site) == []


def test_ctrl_c_stops_all_trials_and_the_same_command_goes_on(site: Site) -> None:
    command = ("tune", *SEARCH, *METRIC, "--trials", "3", "--parallel", "2", "-P", "seconds=6")
    process = site.start("sweep", *command)
    until(process, "Trial 1")
    stopped, took = site.stop(process, signal.SIGINT)
    assert stopped.code == 130
    assert stopped.error[1].startswith("Hint:  To go on: the same command, or trainer sweep --resume ")
    assert took < 30
    [folder] = unfinished(site)
    parent = site.run(folder.name)
    assert parent.info.status == "KILLED"
    assert {run.info.status for run in children(site, folder.name)} == {"KILLED"}
    assert site.trainer("sweep", "--resume", "nothing").code == 2
    found = sweep(site, *command[1:])
    assert found["run_id"] == folder.name
    assert [trial["state"] for trial in found["trials"]] == ["finished"] * 3
    shown = json.loads(site.trainer("sweep", "show", folder.name, "--json").out)
    assert shown["best"] == [found["best"][0]["trial"]]
    assert [trial["state"] for trial in shown["trials"]] == ["finished"] * 3
    assert [trial["run_ids"] for trial in shown["trials"]] == [trial["run_ids"] for trial in found["trials"]]
    again = json.loads(site.trainer("show", f"{folder.name}/1", "--json").out)
    assert [again["run_id"]] == found["trials"][1]["run_ids"]


def test_it_is_stopped_by_its_name_from_elsewhere_and_goes_on_by_its_name(site: Site) -> None:
    command = (*SEARCH, *METRIC, "--trials", "2", "-P", "seconds=30", "--run-name", "far-away")
    process = site.start("sweep", "tune", *command)
    until(process, "Trial 0")
    would = site.trainer("stop", "--all", "--dry-run")
    [folder] = unfinished(site)
    assert f"The sweep {folder.name[:8]} would be stopped, with its trials." in would.out.splitlines()
    stopped = site.trainer("stop", "far-away")
    assert stopped.out.splitlines() == [
        f"The sweep {folder.name[:8]} is stopped. It goes on with: trainer sweep --resume {folder.name[:8]}"
    ]
    assert process.wait(timeout=5) == 130
    process.communicate()
    assert {run.info.status for run in children(site, folder.name)} == {"KILLED"}
    assert site.trainer("stop", "far-away").out == f"far-away ({folder.name[:8]}) has ended already.\n"
    again = site.start("sweep", "--resume", "far-away")
    until(again, "Trial 0")
    assert site.trainer("stop", "--all").code == 0
    assert again.wait(timeout=5) == 130
    again.communicate()
    assert site.run(folder.name).info.status == "KILLED"
    assert site.trainer("ps").out == "No live runs.\n"
    shutil.rmtree(folder)  # other tests look for the one that can go on


def test_a_torn_study_is_made_again_from_the_runs(site: Site) -> None:
    command = (*SEARCH, *METRIC, "--trials", "4", "-P", "seconds=1", "--seed", "4")
    process = site.start("sweep", "tune", *command)
    until(process, "Trial 2")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    [folder] = unfinished(site)
    assert site.run(folder.name).info.status == "RUNNING"
    told = site.trainer("ps")
    line = f"A sweep of tune was cut off. It goes on with: trainer sweep --resume {folder.name[:8]}"
    assert line in told.err.splitlines()
    assert site.run(folder.name).info.status == "KILLED"
    (folder / "study.journal").write_bytes(b'{"torn": \n' * 3)
    found = sweep(site, *command)
    assert found["run_id"] == folder.name
    finished = [run for run in children(site, folder.name) if run.info.status == "FINISHED"]
    assert sorted(run.data.tags["trainer.trial"] for run in finished) == list("0123")


def test_trials_that_fail_are_told_from_a_sweep_that_makes_no_sense(site: Site) -> None:
    some = sweep(site, "--search", "x=1,9,2", "--sampler", "grid", *METRIC, "-P", "fails=5")
    assert [trial["state"] for trial in some["trials"]] == ["finished", "failed", "finished"]
    done = site.trainer("sweep", "tune", "--search", "x=1,2", "--sampler", "grid", "--metric", "acc:maximize")
    assert done.error == ["Error: Trial 0 ended without a metric acc.", "Hint:  It logged score, size."]
    assert done.code == 2
    grid = ("--search", "x=6,7,8,9", "--sampler", "grid", "-P", "fails=5")
    failed = site.trainer("sweep", "tune", *grid, *METRIC)
    assert failed.code == 98
    assert failed.error[0] == "Error: The first 3 trials failed: exit code 3."
    failed = site.trainer("sweep", "tune", *grid, *METRIC, "--trials", "1")
    assert failed.code == 98
    assert failed.error[0] == "Error: The only trial failed: exit code 3."
    assert site.run(failed.run_id).info.status == "FAILED"
    assert unfinished(site) == []


def test_a_trial_that_is_not_promising_is_stopped_and_says_so(site: Site) -> None:
    good, bad = ("2", "2.1", "2.2", "2.3", "2.4"), ("9", "-9")
    tries = [option for x in (*good, *bad) for option in ("--try", f"x={x}")]
    script = ("-P", "seconds=4", "-P", "steps=8", "--trials", "7", "--parallel", "2")
    found = sweep(site, "--search", "x=uniform:-9,9", *tries, *METRIC, *script, "--pruner", "median")
    runs = children(site, found["run_id"])
    stopped = [run for run in runs if run.info.status == "KILLED"]
    assert stopped
    assert all(run.data.tags["pruned"].startswith("step ") for run in stopped)
    assert sum(trial["state"] == "pruned" for trial in found["trials"]) == len(stopped)
    assert found["best"][0]["parameters"] == {"x": "2.0"}


def test_several_runs_of_a_trial_are_judged_by_their_mean(site: Site) -> None:
    found = sweep(site, "--search", "depth=4,5", "--sampler", "grid", *METRIC, "--repeat", "2")
    runs = children(site, found["run_id"])
    assert len(runs) == 4
    assert sorted(run.info.run_name for run in runs) == ["trial-0-0", "trial-0-1", "trial-1-0", "trial-1-1"]
    assert len({run.data.tags["mlflow.trainer.seed"] for run in runs}) == 2
    assert found["best"][0]["metrics"] == {"score": -1.0}


def test_constraints_and_several_metrics(site: Site) -> None:
    search = ("--search", "depth=3,4,5", "--sampler", "grid", "--parallel", "2")
    bound = sweep(site, *search, *METRIC, "--constraint", "size<=4")
    assert [trial["parameters"] for trial in bound["best"]] == [{"depth": "4"}]
    unknown = site.trainer("sweep", "tune", *search, *METRIC, "--constraint", "nothere<=3")
    assert unknown.code == 2
    assert re.fullmatch(r"Error: Trial \d ended without a metric nothere\.", unknown.error[0])
    assert unknown.error[1] == "Hint:  It logged score, size."
    broken = site.trainer("sweep", "tune", *search, *METRIC, "--constraint", "size<=2", "--json")
    assert "No trial keeps to the constraints: size<=2." in broken.err.splitlines()
    parent = json.loads(broken.out)["run_id"]
    assert site.trainer("show", f"{parent}/@best").error[0].endswith(" has no best trial.")
    both = ("--metric", "score:maximize", "--metric", "size:minimize")
    front = sweep(site, "--search", "depth=4,5,6", "--sampler", "grid", *both, "--parallel", "2")
    assert sorted(trial["parameters"]["depth"] for trial in front["best"]) == ["4", "5"]


def test_the_code_of_a_sweep_is_that_of_its_beginning(site: Site) -> None:
    script = site.root / "train_code" / "tune" / "tune.py"
    before = script.read_text()
    command = ("--search", "depth=4,5,6", "--sampler", "grid", *METRIC, "-P", "seconds=2")
    process = site.start("sweep", "tune", *command)
    until(process, "Trial 0")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    script.write_text("raise SystemExit(7)\n")
    found = sweep(site, *command)
    script.write_text(before)
    assert [trial["state"] for trial in found["trials"]] == ["finished"] * 3


def test_a_file_says_the_same_as_the_options(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    saved: Result = site.trainer(
        "sweep", "tune", "--search", "depth=4,5", "--sampler", "grid", *METRIC, "--save", str(file)
    )
    assert saved.code == 0, saved.err
    done = site.trainer("sweep", str(file), "--json")
    assert done.code == 0, done.err
    assert len(json.loads(done.out)["trials"]) == 2


def test_a_sweep_ends_after_its_time_and_without_a_better_trial(site: Site) -> None:
    tries = [option for depth in (5, 4, 3) for option in ("--try", f"depth={depth}")]
    stopped = sweep(site, "--search", "depth=int:2,9", *tries, *METRIC, "--trials", "9", "--stop-after", "2")
    assert [trial["parameters"]["depth"] for trial in stopped["trials"]] == ["5", "4", "3"]
    script = ("-P", "seconds=60", "--trials", "4", "--timeout", "10s")
    timed = sweep(site, "--search", "depth=int:2,8", *METRIC, *script)
    assert [trial["state"] for trial in timed["trials"]] == ["stopped"]
    assert {run.info.status for run in children(site, timed["run_id"])} == {"KILLED"}


def test_a_trial_that_is_removed_is_run_again_and_one_that_is_stopped_is_not(
    site: Site, client: docker.DockerClient
) -> None:
    command = ("--search", "depth=4,5", "--sampler", "grid", *METRIC, "-P", "seconds=6", "--no-warm")
    process = site.start("sweep", "tune", *command, "--json")
    started: list[str] = []
    assert process.stderr
    for line in process.stderr:
        if not (found := re.fullmatch(r"Trial (\d+) .*\(([0-9a-f]{8})\)\s*", line)):
            continue
        trial, run_id = found.groups()
        started.append(trial)
        if trial == "1":
            [folder] = unfinished(site)
            assert site.trainer("logs", f"{folder.name}/1").code == 0
            assert site.trainer("stop", f"{folder.name}/1").code == 0
            break
        if started == ["0"]:
            names = [str(container.name) for container in client.containers.list()]
            [name] = [name for name in names if name.startswith(f"trainer-{run_id}")]
            client.containers.get(name).remove(force=True)
    out, err = process.communicate(timeout=120)
    assert started == ["0", "0", "1"]
    trials: list[Trial] = json.loads(out)["trials"]
    assert [trial["state"] for trial in trials] == ["finished", "stopped"], err
    runs = children(site, json.loads(out)["run_id"])
    assert Counter(run.data.tags["trainer.trial"] for run in runs) == {"0": 2, "1": 1}
