"""What Docker takes for a reference to an image."""

from __future__ import annotations

import pytest
from trainer import image_reference
from trainer.errors import InvalidInput

from unit.helpers import fails


@pytest.mark.parametrize(
    "said",
    [
        "python",
        "python:3.11-slim-bookworm",
        "ghcr.io/team/a.b_c__d--e:V1_x",
        "localhost:5000/x",
        "Host/x",
        "[::1]:5000/x",
        "a/b/c@sha256:" + "0a" * 32,
        "python:3@sha256:" + "0a" * 32,
        "sha256:" + "0a" * 32,
    ],
)
def test_a_reference(said: str) -> None:
    assert image_reference.check(said, "--image") == said


@pytest.mark.parametrize(
    "said", ["", "A", "a b", "a:", "a@sha256:12", "a/B", "a//b", "-a", "a:-b", "a\n", "https://x/y", "é"]
)
def test_no_reference(said: str) -> None:
    with fails(InvalidInput, f"--image is {said!r}, which is not an image reference."):
        image_reference.check(said, "--image")
