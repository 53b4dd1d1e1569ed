"""The schemas in docs/schemas/ are current, and allow what trainer does."""

from __future__ import annotations

import json
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
import schemas
import yaml
from pydantic import TypeAdapter, ValidationError
from trainer.errors import InvalidInput
from trainer.images import spec
from trainer.projects import mlproject, python_env
from trainer.workspace.settings import Settings, find

from unit.helpers import put

REPOSITORY = Path(__file__).parents[3]
FILES = subprocess.run(
    ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
).stdout.split()


def test_they_are_current() -> None:
    folder = REPOSITORY / "docs" / "schemas"
    written = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert json.loads(json.dumps(schemas.all_of_them())) == written, "make schema"


@pytest.mark.parametrize(
    "file", [file for file in FILES if Path(file).name in ("MLproject", "python_env.yaml")]
)
def test_the_projects_of_the_repository_are_valid(file: str) -> None:
    kind = schemas.MLproject if file.endswith("MLproject") else schemas.PythonEnv
    TypeAdapter(kind).validate_python(yaml.safe_load((REPOSITORY / file).read_text()), strict=False)


def test_trainer_yaml_and_image_yaml_have_the_keys_that_trainer_takes(tmp_path: Path) -> None:
    every = schemas.all_of_them()
    assert set(every["trainer.json"]["properties"]) == {field.name for field in fields(Settings)}  # type: ignore[call-overload]
    for name, allowed in every["trainer.json"]["properties"].items():  # type: ignore[attr-defined]
        value = allowed.get("default", {})
        put(tmp_path / "trainer.yaml", json.dumps({name: value} if value is not None else {}))
        find(tmp_path)
        for wrong in (
            (allowed.get("minimum", 1) - 1, allowed.get("maximum", -2) + 1) if "minimum" in allowed else ()
        ):
            put(tmp_path / "trainer.yaml", json.dumps({name: wrong}))
            with pytest.raises(InvalidInput, match=name):
                find(tmp_path)
    put(tmp_path / "trainer.yaml")
    for name in every["image.json"]["properties"]:  # type: ignore[attr-defined]
        put(tmp_path / "trainer_images" / "own" / "image.yaml", f"{name}:\n")
        assert "own" in spec.discover(find(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "python: 3.1",
        "pyhton: '3.11'",
        "dependencies: numpy",
        "build_dependencies: [1]",
        "dependencies: [numpy: 2]",
    ],
)
def test_what_is_no_python_env_for_trainer_is_none_for_an_editor(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(schemas.PythonEnv).validate_python(yaml.safe_load(text))
    with pytest.raises(InvalidInput):
        python_env.read(put(tmp_path / "python_env.yaml", text), tmp_path, is_conda=False)


@pytest.mark.parametrize(
    "text",
    [
        "docker_env: {}",
        "docker_env: {image: a, volume: [b]}",
        "docker_env: {image: a, volumes: b}",
        "docker_env: {image: a, environment: [[A]]}",
        "entry_points: {main: {}}",
        "entry_points: {main: {command: a, parameters: {b: 1}}}",
        "entry_points: {main: {command: a, parameters: {b: {choices: c}}}}",
        "entry_points: {main: {command: a, parameters: {b: {minimum: c}}}}",
        "entry_points: [main]",
    ],
)
def test_what_is_no_mlproject_for_trainer_is_none_for_an_editor(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(schemas.MLproject).validate_python(yaml.safe_load(text))
    put(tmp_path / "MLproject", text)
    with pytest.raises(InvalidInput):
        mlproject.load(tmp_path).entry_point("main")
