"""What must agree between the TensorFlow images and between the projects that run in them."""

from __future__ import annotations

import re

import pytest
import yaml
from support import REPOSITORY

IMAGES, PROJECTS = REPOSITORY / "trainer_images", REPOSITORY / "train_code"
NAMES = ("tensorflow", "inceptionv3", "efficientnetb0")


def entry(project: str) -> tuple[dict[str, dict[str, object]], str]:
    """Its parameters and its command."""
    main = yaml.safe_load((PROJECTS / project / "MLproject").read_text())["entry_points"]["main"]
    return main["parameters"], main["command"]


def test_both_tensorflow_images_have_the_same_smoke_test() -> None:
    ours, theirs = (IMAGES / name / "smoke.py" for name in ("tensorflow", "tensorflow-gpu"))
    assert ours.read_text() == theirs.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_command_hands_every_parameter_on_and_the_script_reads_each(name: str) -> None:
    parameters, command = entry(name)
    options = re.findall(r"--([\w-]+) \{(\w+)\}", command)
    assert [option.replace("-", "_") for option, _ in options] == [value for _, value in options]
    assert [value for _, value in options] == list(parameters)
    script = (PROJECTS / name / "train.py").read_text()
    fields = re.findall(r"^    (\w+): (?:str|int|float)$", script, re.MULTILINE)
    assert sorted(fields) == sorted(re.findall(r"--([\w-]+)", command.replace("-", "_").replace("__", "--")))


def test_the_two_backbones_have_the_same_parameters_but_for_what_suits_them() -> None:
    ours, theirs = entry("efficientnetb0")[0], entry("inceptionv3")[0]
    assert theirs.keys() - ours.keys() == {"backbone"}
    assert not ours.keys() - theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} == {"image_size", "unfreeze_from"}
    assert "--backbone efficientnetb0" in entry("efficientnetb0")[1]
