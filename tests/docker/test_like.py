"""Runs and projects that are made like an earlier run, on the real engine and server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import CANARY, Site

MLPROJECT = """\
name: liked
docker_env: {image: trainer/sklearn}
entry_points:
  main:
    command: "true"
  other:
    parameters:
      size: {type: int, default: 3}
      word: {type: string, default: plain}
      file: {type: path, default: words.txt}
    command: cat {file} && echo {size} {word}
"""


@pytest.fixture
def liked(site: Site) -> Iterator[Path]:
    """A project whose parameters are a number, a text and a file of its own."""
    project = site.root / "train_code" / "liked"
    project.mkdir()
    (project / "MLproject").write_text(MLPROJECT)
    (project / "words.txt").write_text("some words\n")
    yield project
    shutil.rmtree(project, ignore_errors=True)


def test_a_run_like_another_one(site: Site, liked: Path, tmp_path: Path) -> None:
    options = ["--size", "5", "--word", "a b", "--experiment", "likes", "--memory", "1g", "--seed", "7"]
    note = "mlflow.note.content"
    first = site.trainer("run", "liked", "-e", "other", *options, "--tag", f"{note}=My own.")
    assert first.code == 0, first.err
    assert site.run(first.run_id).data.tags[note] == "My own."
    (liked / "words.txt").write_text("other words\n")
    second = site.trainer("run", "--like", first.run_id[:8], "--size", "6")
    assert second.code == 0, second.err
    run = site.run(second.run_id)
    assert run.data.params == {**site.run(first.run_id).data.params, "size": "6"}
    assert (run.data.params["word"], run.data.params["file"]) == ("a b", "words.txt")
    assert run.info.experiment_id == site.run(first.run_id).info.experiment_id
    kept = ("mlflow.project.entryPoint", "mlflow.trainer.memory", "mlflow.trainer.seed")
    assert [run.data.tags[tag] for tag in kept] == ["other", "1g", "7"]
    assert "\ntrainer run liked -e other -P size=6 -P 'word=a b'\n" in run.data.tags[note]
    assert f"`trainer reproduce {second.run_id[:8]}`" in run.data.tags[note]
    assert site.log(second.run_id, tmp_path) == "other words\n6 a b\n"
    # The parameters of another entry point are not its own.
    third = site.trainer("run", "--like", first.run_id, "-e", "main", "--dry-run")
    assert third.code == 0, third.err
    assert third.err.endswith("liked has no parameter size, word, file now; left out.\n")


def test_a_project_is_made_of_the_code_of_a_run(site: Site, liked: Path) -> None:
    first = site.trainer("run", "liked", "-e", "other", "--word", "mine")
    assert first.code == 0, first.err
    shutil.rmtree(liked)
    gone = site.trainer("run", "--like", first.run_id)
    assert gone.code == 2
    hint = f"trainer new liked --from {first.run_id[:8]}"
    name = site.run(first.run_id).info.run_name
    assert gone.error == [
        f"Error: The run {name} is of the project liked, which is not in this workspace.",
        f"Hint:  Get its code: {hint}",
    ]
    made = site.trainer(*hint.split()[1:])
    assert made.code == 0, made.err
    assert (liked / "words.txt").read_text() == "some words\n"
    assert not list(liked.parent.glob(".*"))
    again = site.trainer("run", "--like", first.run_id, "--dry-run", "--json")
    assert '"word": "mine"' in again.out, again.err
    refused = site.trainer(*hint.split()[1:])
    assert (refused.code, (liked / "words.txt").exists()) == (2, True)


def test_a_value_that_held_a_secret_has_to_be_given_again(site: Site, liked: Path) -> None:
    (liked / "MLproject").write_text(MLPROJECT.replace("plain", CANARY))
    first = site.trainer("run", "liked", "-e", "other")
    assert first.code == 0, first.err
    refused = site.trainer("run", "--like", first.run_id)
    assert (refused.code, refused.error) == (
        2,
        [
            "Error: The value of the parameter word held a secret, which was not recorded.",
            "Hint:  Pass it: -P word=VALUE",
        ],
    )
    assert site.trainer("run", "--like", first.run_id, "-P", "word=other", "--dry-run").code == 0


@pytest.mark.usefixtures("liked")
def test_the_project_stands_before_the_options(site: Site) -> None:
    first = site.trainer("run", "liked")
    refused = site.trainer("run", "--like", first.run_id, "--size", "1", "-e", "other", "probe")
    assert (refused.code, refused.error[0]) == (2, "Error: probe stands after the options.")
    done = site.trainer("run", "liked", "--like", first.run_id, "--dry-run")
    assert done.code == 0, done.err
