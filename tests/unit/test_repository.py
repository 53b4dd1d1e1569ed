"""What must agree between files of this repository."""

from __future__ import annotations

import re
import tomllib

import pytest
from support import REPOSITORY
from trainer import image_lock, images, workspace
from trainer.images import ImageSpec

IMAGES = images.discover(workspace.find(REPOSITORY))


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
