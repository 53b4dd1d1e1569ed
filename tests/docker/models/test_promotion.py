"""A version is promoted if it is better than the one in use, on samples that neither has learned from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from support import Result, Site
from unit.trainkit.inference.models import image_description, write_colours

CLASSES = ("blue", "green", "red")
COLOURS = {"blue": (20, 20, 220), "green": (20, 220, 20), "red": (220, 20, 20)}
MIXED = ("green", "red", "blue")  # of a model that gets every colour wrong


@pytest.fixture(scope="module")
def paint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Pictures of three colours, 30 of each, and a model with a good, a bad and an equal version."""
    site = Site(tmp_path_factory.mktemp("paint") / "site", port=5465)
    for name, colour in COLOURS.items():
        folder = site.root / "data" / "paint" / name
        folder.mkdir(parents=True)
        for number in range(30):
            shade = tuple(min(255, part + number) for part in colour)
            Image.new("RGB", (8, 8), shade).save(folder / f"{number}.png")
    client = site.client
    client.create_experiment("paint")
    client.create_registered_model("paint")
    for classes in (MIXED, CLASSES, CLASSES, MIXED):
        _register(site, tmp_path_factory.mktemp("onnx"), classes)
    yield site
    site.trainer("server", "down")


def _register(site: Site, folder: Path, answers: tuple[str, ...]) -> None:
    """A version whose first answer is meant to be blue, and is called like the first of `answers`."""
    client = site.client
    experiment = client.get_experiment_by_name("paint").experiment_id
    run = client.create_run(experiment).info
    order = [answers.index(name) for name in CLASSES]
    file = write_colours(folder / "model.onnx", image_description(), order=order)
    client.log_artifact(run.run_id, str(file), "onnx")
    client.set_terminated(run.run_id)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    tags = {"trainer.format": "onnx", "trainer.sha256": sha256}
    client.create_model_version("paint", f"{run.artifact_uri}/onnx", run.run_id, tags=tags)


def _champion(site: Site) -> str:
    return str(site.client.get_model_version_by_alias("paint", "champion").version)


def _if_better(site: Site, number: int, *more: str) -> Result:
    return site.trainer(
        "models", "promote", f"paint@{number}", "--if-better", "val_accuracy", "--on", "paint", *more
    )


def test_better_ones_are_promoted_and_others_refused_with_the_reason(paint: Site) -> None:
    first = _if_better(paint, 1)
    assert (first.code, "paint has no champion to compare with." in first.err) == (0, True), first.err
    dry = _if_better(paint, 2, "--dry-run")
    assert (dry.code, dry.out.splitlines()[-1]) == (0, "champion of paint would be moved: 1 → 2"), dry.err
    assert _champion(paint) == "1"
    better = _if_better(paint, 2)
    assert (better.code, _champion(paint)) == (0, "2"), better.err
    lines = better.out.splitlines()
    assert lines[0] == "accuracy on 90 samples of paint"
    assert lines[2].split() == ["paint@1", "0.0000", "0.0000", "…", "0.0409"]
    assert lines[3].split() == ["paint@2", "1.0000", "0.9591", "…", "1.0000"]
    assert lines[-1] == "paint@champion is version 2 (was 1)."
    same = _if_better(paint, 3)
    assert (same.code, same.error[0]) == (96, "Error: 90 samples do not tell whether paint@3 is better.")
    worse = _if_better(paint, 4)
    assert (worse.code, worse.error[0]) == (95, "Error: paint@4 is worse in accuracy.")
    assert _champion(paint) == "2"


def test_what_was_compared_is_kept_as_a_run_which_the_history_names(paint: Site) -> None:
    moves = json.loads(paint.trainer("models", "history", "paint", "--json").out)
    evidence = next(move["evidence"] for move in moves if move["version"] == 2)
    run = paint.run(evidence)
    assert (run.data.metrics["champion_accuracy_score"], run.data.metrics["challenger_accuracy_score"]) == (
        0,
        1,
    )
    assert (run.data.params["samples"], run.data.tags["trainer.verdict"]) == ("90", "better")
    files = {file.path for file in paint.client.list_artifacts(evidence)}
    assert {"answers.csv", "comparison.json", "champion", "challenger"} <= files


def test_evaluations_stand_aside_from_the_runs_of_projects(paint: Site) -> None:
    kept = paint.client.get_experiment_by_name("paint (model)").experiment_id
    ids = {run.info.run_id for run in paint.client.search_runs([kept])}
    listed = paint.trainer("runs")
    assert "against" not in listed.out
    assert f"Not listed: {len(ids)} runs with evaluations of models (--evaluations)." in listed.err
    every = json.loads(paint.trainer("runs", "--evaluations", "--limit", "0", "--json").out)
    assert ids < {run["run_id"] for run in every}
    for project in ([], ["paint"]):
        listed = json.loads(paint.trainer("runs", *project, "--limit", "0", "--json").out)
        assert not ids & {run["run_id"] for run in listed}
    assert len(json.loads(paint.trainer("runs", "paint (model)", "--json").out)) == len(ids)
    one = next(run for run in every if "against" in run["name"])
    assert one["run_id"] in paint.trainer("show", one["run_id"][:12]).out
    best = paint.trainer("show", "@best:champion_accuracy_score")
    assert best.error[0] == "Error: No run has a metric champion_accuracy_score."


def test_floors_and_the_least_gain_hold_too(paint: Site) -> None:
    paint.client.set_registered_model_alias("paint", "champion", "1")
    low = _if_better(paint, 4, "--floor", "red=0.5")
    assert (low.code, low.error[0]) == (95, "Error: paint@4 is below the floor of a class: red 0.000.")
    little = _if_better(paint, 2, "--min-gain", "1.5")
    assert little.code == 95
    assert "minimum absolute change" in little.error[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--if-better", "accuracy"], "--if-better, --on, --floor and --min-gain go together."),
        (["--if-better", "accurcy", "--on", "paint"],
         "Models that answer with classes are not compared by accurcy."),
        (["--if-better", "accuracy", "--on", "pain"], "--on names pain, which is not in "),
        (["--if-better", "accuracy", "--on", "paint", "--floor", "pink=0.5"],
         "--floor names the class pink, which the model does not know."),
        (["--if-better", "accuracy", "--on", "paint", "--floor", "red=2"], "--floor red=2 is not a recall."),
    ],
)  # fmt: skip
def test_bad_options(paint: Site, options: list[str], said: str) -> None:
    paint.client.set_registered_model_alias("paint", "champion", "1")
    done = paint.trainer("models", "promote", "paint@2", *options)
    assert (done.code, done.error[0].startswith(f"Error: {said}"), len(done.error)) == (2, True, 2), done.err
    assert _champion(paint) == "1"
