"""What must agree between files of this repository."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from servers.versions import REQUIREMENTS, TOO_OLD, VERSIONS
from support import REPOSITORY
from trainer.images import lock as image_lock
from trainer.images import spec
from trainer.images.spec import ImageSpec
from trainer.workspace import settings
from trainkit import mlflow_in_run, run_environment

IMAGES = spec.discover(settings.find(REPOSITORY))


def requirements(name: str) -> list[str]:
    lines = (IMAGES[name].folder / "requirements.in").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_images_are_those_of_the_field_and_gpu_is_a_name_for_one() -> None:
    assert set(IMAGES) == {"sklearn", "tensorflow", "tensorflow-gpu", "pytorch"}
    assert IMAGES["tensorflow-gpu"].aliases == ("gpu",)


def test_the_tensorflow_images_differ_by_their_first_requirement_alone() -> None:
    cpu, gpu = requirements("tensorflow"), requirements("tensorflow-gpu")
    assert [line.partition("~=")[0] for line in (cpu[0], gpu[0])] == [
        "tensorflow-cpu",
        "tensorflow[and-cuda]",
    ]
    assert cpu[0].partition("~=")[2] == gpu[0].partition("~=")[2]
    assert cpu[1:] == gpu[1:]
    assert IMAGES["tensorflow"].apt == IMAGES["tensorflow-gpu"].apt == ("graphviz",)


@pytest.mark.parametrize("image", IMAGES.values(), ids=lambda image: image.name)
def test_every_image_has_the_mlflow_of_trainer_itself(image: ImageSpec) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    [own] = [line for line in project["dependencies"] if line.startswith("mlflow==")]
    assert image_lock.locked_version(image.lock, "mlflow-skinny") == own.removeprefix("mlflow==")


@pytest.mark.parametrize("image", IMAGES.values(), ids=lambda image: image.name)
def test_every_requirement_of_an_image_is_locked_with_hashes(image: ImageSpec) -> None:
    lock = image.lock.read_text()
    for line in requirements(image.name):
        name = re.split(r"[~=><\[]", line)[0]
        assert re.search(rf"^{re.escape(name)}==\S+.*\\\n    --hash=sha256:", lock, re.MULTILINE), name


def test_the_page_on_servers_has_every_version_and_command_that_is_tried() -> None:
    page = (REPOSITORY / "docs" / "servers.md").read_text()
    [versions] = re.findall(r"^\| \| (2\..*) \| test \|$", page, re.MULTILINE)
    assert versions.split(" | ") == [".".join(version.split(".")[:2]) for version in VERSIONS]
    tried = re.findall(
        r"^def (test_\w+)", (REPOSITORY / "tests/servers/test_matrix.py").read_text(), re.MULTILINE
    )
    assert sorted(re.findall(r"\| `(test_\w+)` \|$", page, re.MULTILINE)) == sorted(tried)


@pytest.mark.parametrize("version", [*VERSIONS[:-1], TOO_OLD])
def test_a_server_that_is_tried_is_pinned(version: str) -> None:
    pins = (REQUIREMENTS / f"{version}.txt").read_text().splitlines()
    assert f"mlflow=={version}" in pins
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==\S+|\s*#.*", pin)] == []


def test_each_name_that_host_and_run_agree_on_stands_once() -> None:
    shared = {text for name, text in vars(run_environment).items() if name.isupper()}
    names = {text: "run_environment.py" for text in shared if text.startswith(("TRAINER_", "/"))}
    names[mlflow_in_run.VARIABLE] = "mlflow_in_run.py"
    folders = (REPOSITORY / "tooling" / "trainer", REPOSITORY / "trainer_images" / "trainkit")
    code = {path: path.read_text() for folder in folders for path in folder.rglob("*.py")}
    # What the tracking server's own container has at /data is another thing.
    del code[REPOSITORY / "tooling" / "trainer" / "server" / "container.py"]
    where = {name: [path.name for path, text in code.items() if f'"{name}"' in text] for name in names}
    assert where == {name: [file] for name, file in names.items()}


def modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]


def test_a_module_is_short_enough_to_be_read_as_a_whole() -> None:
    code = modules("tooling", "trainer_images", "train_code", "templates", "mlflow_tracking_server")
    lines = {path.relative_to(REPOSITORY): len(path.read_text().splitlines()) for path in code}
    assert {path: count for path, count in lines.items() if count > 300} == {}


def test_a_folder_has_no_more_modules_than_can_be_seen_at_a_glance() -> None:
    code = modules("tooling", "trainer_images", "train_code", "mlflow_tracking_server", "tests")
    counts = Counter(path.parent.relative_to(REPOSITORY) for path in code)
    assert {folder: count for folder, count in counts.items() if count > 20} == {}
