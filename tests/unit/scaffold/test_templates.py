"""What must hold of every template, and of the way through it that its README describes."""

from __future__ import annotations

import re

import pytest
from support import REPOSITORY
from trainer.plan import parameter_values
from trainer.projects import mlproject
from trainer.scaffold import templates

FOLDER = REPOSITORY / "templates"


def test_there_is_one_for_each_kind_of_project() -> None:
    assert templates.names() == ["inceptionv3", "minimal", "pytorch", "sklearn", "tensorflow"]


@pytest.mark.parametrize("name", templates.names())
def test_the_readme_walks_through_every_place_to_change(name: str) -> None:
    readme = (FOLDER / name / "README.md").read_text()
    steps = [step.lower() for step in re.findall(r"^\d\. \*\*([^*]+)\*\*", readme, re.MULTILINE)]
    sources = [path for path in (FOLDER / name).rglob("*") if path.suffix in (".py", ".yaml")]
    marked = [label for path in sources for label in re.findall(r"# CHANGE: ([^.]+)\.", path.read_text())]
    assert len(marked) >= 4
    assert sorted(steps) == sorted(marked)
    numbers = {3: "three", 4: "four", 5: "five"}
    assert f"Make it yours in {numbers[len(steps)]} steps." in readme


@pytest.mark.parametrize("name", templates.names())
def test_the_commands_of_the_readme_are_accepted(name: str) -> None:
    project = mlproject.load(FOLDER / name)
    readme = (FOLDER / name / "README.md").read_text()
    commands = re.findall(r"^    trainer run PROJECT(.*?)(?:#.*)?$", readme, re.MULTILINE)
    assert commands
    for command in commands:
        words = command.split()
        given = {option[2:]: value for option, value in zip(words[::2], words[1::2], strict=True)}
        given.pop("layers", None)  # a path in the project that is to be made
        parameter_values.check(project, project.entry_point("main"), given)


@pytest.mark.parametrize("name", templates.names())
def test_it_has_no_code_of_its_own_where_a_project_has_it(name: str) -> None:
    shared = {path.name for path in (FOLDER / name).iterdir() if path.is_symlink()}
    assert shared == (set() if name == "minimal" else {"MLproject", "train.py"})
