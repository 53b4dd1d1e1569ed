"""The base of an image, pinned in its image.yaml. What asks a registry is in tests/docker."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from trainer.errors import InvalidInput
from trainer.images import pin

from unit.helpers import fails, put

NEW = "python:3.11@sha256:0123"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"base_image: {NEW}\n"),
        ("# nothing yet", f"# nothing yet\nbase_image: {NEW}\n"),
        ("{}\n", f"{{base_image: {NEW}}}\n"),
        ("{gpu: true}", f"{{base_image: {NEW}, gpu: true}}"),
        ("{base_image: a:1, gpu: true}", f"{{base_image: {NEW}, gpu: true}}"),
        ("# A\n\ngpu: true # why\n", f"# A\n\nbase_image: {NEW}\ngpu: true # why\n"),
        ("apt: []\nbase_image:   'a:1'  # small\ngpu: true\n",
         f"apt: []\nbase_image:   {NEW}  # small\ngpu: true\n"),
        (f"base_image: {NEW}", f"base_image: {NEW}"),
        ("base_image:\ngpu: true\n", f"base_image: {NEW}\ngpu: true\n"),
    ],
)  # fmt: skip
def test_the_rest_of_the_file_stays(tmp_path: Path, before: str, after: str) -> None:
    file = put(tmp_path / "image.yaml", before)
    assert pin.with_base(file, NEW) == after
    assert yaml.safe_load(after)["base_image"] == NEW
    assert file.read_text() == before


def test_what_cannot_be_changed_is_left_to_the_user(tmp_path: Path) -> None:
    file = put(tmp_path / "image.yaml", "? base_image\n: &anchor a:1\ndescription: *anchor\n")
    with fails(
        InvalidInput, f"{file} is in a form that cannot be edited automatically.", f"Write: base_image: {NEW}"
    ):
        pin.with_base(file, NEW)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("python", "python:latest"),
        ("python:3.11", "python:3.11"),
        ("python:3.11@sha256:00", "python:3.11"),
        ("localhost:5000/python", "localhost:5000/python:latest"),
        ("localhost:5000/a/python:1@sha256:00", "localhost:5000/a/python:1"),
    ],
)
def test_the_tag_is_asked_for(name: str, asked: str) -> None:
    assert pin._with_tag(name) == asked


def test_a_digest_without_a_tag_has_no_later_one() -> None:
    with fails(
        InvalidInput,
        "python@sha256:00 has no tag, so its current digest cannot be looked up.",
        "Specify a tag: --base-image NAME:TAG",
    ):
        pin._with_tag("python@sha256:00")
