"""What a sweep is refused for before anything exists: one error, in two lines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer.workspace.settings import Workspace

from unit.helpers import Result, put

Trainer = Callable[..., Result]
METRIC = ("--metric", "accuracy:maximize")
LOCAL = ("--backend", "local", "--no-warm")
CORES = str(len(os.sched_getaffinity(0)))
RATE = ("--search", "rate=uniform:0.1,0.5")


def refused(trainer: Trainer, *options: str) -> list[str]:
    """The lines of the error of `trainer sweep OPTIONS`, which creates nothing."""
    done = trainer("sweep", *options)
    assert done.code == 2, done.err
    assert not list(Path(".trainer").glob("sweeps/*"))
    lines = done.err.splitlines()
    assert len(lines) >= 2
    return lines


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([*RATE, *METRIC, "--run-name", "@best"], "A run cannot be called @best"),
        (["--search", "speed=1,2", *METRIC], "There is no parameter speed to search."),
        (["--search", "rate=uniform:0.1,1.5", *METRIC], "--rate is 1.5, which is out of range."),
        (["--search", "rate=loguniform:0,1", *METRIC], "rate: 0 has no logarithm."),
        (["--search", "kind=tree,stone", *METRIC], "--kind is 'stone', which is not one of its choices."),
        ([*RATE, *METRIC, "--sampler", "grid"], "A grid cannot have rate=uniform:0.1,0.5"),
        (
            ["--search", "kind=tree,line", *METRIC, "--sampler", "grid", "--trials", "3"],
            "The grid has 2 points, and 3 trials are asked for.",
        ),
        ([*RATE, *METRIC, "--queue"], "A sweep is not queued."),
        ([*RATE, *METRIC, "--priority", "3"], "A sweep is not queued."),
        ([*RATE, "--metric", "accuracy"], "--metric accuracy does not say which way is better."),
        ([*RATE], "No metric is given that the trials are judged by."),
        ([*METRIC], "Nothing is searched."),
        ([*RATE, *METRIC, "--rate", "0.2"], "The parameter rate is both given and searched."),
        ([*RATE, *METRIC, "--try", "rate=0.9"], "rate=0.9 cannot be tried"),
        ([*RATE, *METRIC, "--try", "rate"], "--try 'rate' is no configuration."),
        ([*RATE, *METRIC, "--timeout", "soon"], "--timeout soon is no time."),
        ([*RATE, *METRIC, "--constraint", "seconds<2"], "--constraint 'seconds<2' is no bound of a metric."),
        ([*RATE, *METRIC, "--sampler", "gp"], "The sampler gp needs the package torch"),
        (
            [*RATE, *METRIC, "--metric", "mb:minimize", "--pruner", "asha"],
            "The pruner asha judges a trial by one metric, and there are 2.",
        ),
        ([*RATE, *METRIC, "--repeat", "2", "--pruner", "asha"], "--repeat judges a trial by the mean"),
    ],
)
def test_what_makes_no_sense_is_refused(trainer: Trainer, options: list[str], message: str) -> None:
    lines = refused(trainer, "demo", *options)
    assert lines[0].startswith(f"Error: {message}"), lines
    assert any(line.startswith("Hint:  ") for line in lines)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("project: demo\nserach: {rate: 'uniform:0,1'}\n", "has the unknown key serach."),
        ("- demo\n", "has no keys."),
        ("search: {rate: 'uniform:0,1'}\n", "names no project."),
        ("project: demo\nmetrics: {accuracy: up}\n", "the metric accuracy has no direction up."),
        ("project: demo\ntrials: many\n", "trials has to be a whole number from 1."),
        ("project: demo\nsampler: best\n", "there is no sampler best."),
        ("project: demo\nsearch: [rate]\n", "search has to be names with their values."),
        ("project: demo\ntimeout: soon\n", "timeout has to be a time."),
        ("project: demo\ntry: [rate]\n", "try has to be configurations."),
    ],
)
def test_a_file_that_is_no_sweep_is_refused(trainer: Trainer, content: str, message: str) -> None:
    put(Path("sweep.yaml"), content)
    assert refused(trainer, "sweep.yaml")[0].replace("yaml: ", "yaml ") == f"Error: sweep.yaml {message}"


def test_what_is_saved_is_read_again_and_replaces_nothing(trainer: Trainer, workspace: Workspace) -> None:
    options = [
        *RATE, "--search", "batch_size=int:2,8", "--search", "epochs=2,3 if batch_size=4", *METRIC,
        "--trials", "7", "--parallel", "2", "--constraint", "mb<=3", "--try", "rate=0.2",
        "--timeout", "2h", "--seed", "3", "--repeat", "2", "--stop-after", "4", "--kind", "line",
        "--memory", "2g", "--tag", "a=b", "--run-name", "deep",
    ]  # fmt: skip
    refused(trainer, "demo", *options)  # a range decides nothing
    options[options.index("batch_size=int:2,8")] = "batch_size=2,4,8"
    saved = trainer("sweep", "demo", *options, "--save", "sweep.yaml")
    assert saved.code == 0, saved.err
    text = (workspace.root / "sweep.yaml").read_text()
    assert "timeout: 7200\n" in text
    assert "- rate: 0.2\n" in text
    assert "batch_size: 2,4,8" in text
    (workspace.root / "sweep.yaml").write_text(text.replace("timeout: 7200", "timeout: 2h"))
    again = trainer("sweep", "sweep.yaml", "--save", "again.yaml")
    assert again.code == 0, again.err
    assert (workspace.root / "again.yaml").read_text() == text
    changed = trainer("sweep", "sweep.yaml", "--trials", "9", "--save", "changed.yaml")
    assert changed.code == 0
    assert (workspace.root / "changed.yaml").read_text() == text.replace("trials: 7", "trials: 9")
    assert trainer("sweep", "sweep.yaml", "--save", "again.yaml").code == 92


def test_the_first_trials_are_shown_and_nothing_is_made(trainer: Trainer) -> None:
    shown = trainer(
        "sweep", "demo", *RATE, *METRIC, "--trials", "3", "--try", "rate=0.25", "--dry-run", *LOCAL
    )
    assert shown.code == 0, shown.err
    lines = shown.out.splitlines()
    assert lines[0].split() == ["TRIAL", "rate"]
    assert lines[1].split() == ["0", "0.25"]
    assert lines[-1].startswith("3 trials, 1 at once, judged by accuracy:maximize.")
    assert lines[-1].endswith("Later ones depend on how these end.")
    assert not Path(".trainer/sweeps").exists()


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([*RATE, "--parallel", "99", *LOCAL], "99 trials at once need 99 cores; this machine has "),
        ([*RATE, "--parallel", "2", "--cpus", CORES, *LOCAL], "2 trials at once need "),
        ([*RATE, "--cpus", "9999", *LOCAL], "--cpus 9999: the machine has "),
        ([*RATE, "--memory", "8g", *LOCAL], "--memory needs a container"),
        ([*RATE, "--memory", "1"], "--memory 1 is invalid."),
        ([*RATE, "--image", "nosuch"], "There is no trainer image nosuch."),
        ([*RATE, "--gpus", "some"], "--gpus some is invalid."),
        ([*RATE, "-P", "kind=q"], "--kind is 'q', which is not one of its choices."),
    ],
)
def test_a_dry_run_is_refused_as_the_sweep_is(
    trainer: Trainer, options: list[str], message: str, dry: list[str]
) -> None:
    lines = refused(trainer, "demo", *options, *METRIC, *dry)
    assert any(line.startswith(f"Error: {message}") for line in lines), lines


def test_the_hint_of_an_option_that_is_mistyped_names_the_command_as_it_was_typed(trainer: Trainer) -> None:
    assert refused(trainer, "demo", "--trials")[-1] == "Hint:  trainer sweep --help"


def test_a_dry_run_of_a_file_with_an_unknown_parameter_is_refused(trainer: Trainer) -> None:
    content = (
        "project: demo\nparameters: {nn: 1}\nsearch: {rate: 'uniform:0.1,0.5'}\nmetrics: {a: maximize}\n"
    )
    put(Path("sweep.yaml"), content)
    assert "nn" in refused(trainer, "sweep.yaml", "--dry-run")[0]


def test_the_first_trials_are_shown_without_an_engine_too(trainer: Trainer) -> None:
    shown = trainer("sweep", "demo", *RATE, *METRIC, "--parallel", "99", "--dry-run")
    assert shown.code == 0, shown.err
    assert shown.out.splitlines()[-1].startswith("Not checked: what the machine has. ")
    said = json.loads(trainer("sweep", "demo", *RATE, *METRIC, "--dry-run", "--json").out)
    assert said["unchecked"]


def test_numbers_are_short_in_the_table_and_whole_in_json(trainer: Trainer) -> None:
    options = ("demo", "--search", "rate=0.123456789,0.25", "--sampler", "grid", *METRIC, "--dry-run")
    rows = trainer("sweep", *options).out.splitlines()
    assert {rows[1].split()[1], rows[2].split()[1]} == {"0.1235", "0.25"}
    trials = json.loads(trainer("sweep", *options, "--json").out)["trials"]
    assert {trial["rate"] for trial in trials} == {"0.123456789", "0.25"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--search", "kind=tree,line", "--sampler", "grid"], "All of the grid, 1 at once"),
        ([*RATE, "--timeout", "1h"], "Until --timeout or --stop-after ends it, 1 at once"),
    ],
)
def test_a_sweep_without_a_number_of_trials_says_when_it_ends(
    trainer: Trainer, options: list[str], said: str
) -> None:
    shown = trainer("sweep", "demo", *options, *METRIC, "--dry-run", *LOCAL)
    assert shown.code == 0, shown.err
    last = shown.out.splitlines()[-1]
    assert last.startswith(said)
    assert ("Later ones" in last) == ("grid" not in options)


def test_the_seed_of_the_search_is_not_that_of_a_project_which_has_one(
    trainer: Trainer, workspace: Workspace
) -> None:
    project = workspace.projects / "demo" / "MLproject"
    seed = "seed: {type: int, default: 0}\n      batch_size: {"
    project.write_text(project.read_text().replace("batch_size: {", seed, 1))
    done = trainer("sweep", "demo", *RATE, *METRIC, "--seed", "5", "-P", "seed=7", "--save", "sweep.yaml")
    assert done.code == 0, done.err
    lines = (workspace.root / "sweep.yaml").read_text().splitlines()
    assert {"  seed: 7", "seed: 5"} <= set(lines)
