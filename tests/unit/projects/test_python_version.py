"""The Python that an environment file asks for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.projects import python_version
from uv import find_uv_bin

from unit.helpers import fails

FILE = Path("python_env.yaml")
HINT = "Write a version from 3.6 to 3.15, such as 3.11."


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("3.11", "3.11"),
        ("3.7.9", "3.7.9"),
        ("==3.8.*", "3.8"),
        ("3", "3"),
        (">=3.8,<3.12", "3.11"),
        (">=3.8, <3.11.4", "3.11"),
        ("~=3.9", "3.15"),
        ("~=3.9.2", "3.9"),
        ("<=3.8,!=3.7.1", "3.8"),
        (">2.7", "3.15"),
    ],
)
def test_what_can_be_had_and_what_an_image_with_it_is_called(said: str, name: str) -> None:
    python_version.check(FILE, said)
    assert python_version.to_name(said) == name


@pytest.mark.parametrize(
    "said", ["2.7", "2.7.18", "2", "==2.7.*", "3.5", "<3", "<3.6", "<=2.7", "~=2.7", "3.99", ">=3.40", "4"]
)
def test_what_cannot_be_had(said: str) -> None:
    with fails(InvalidInput, f"python_env.yaml: python is {said}, which is not available.", HINT):
        python_version.check(FILE, said)


@pytest.mark.parametrize("said", ["python3", "3.x", ">=", "3.8 3.9", "latest"])
def test_what_is_no_version(said: str) -> None:
    message = f"python_env.yaml: python is {said!r}, which is not a version."
    with fails(InvalidInput, message, "Write a version, such as 3.11."):
        python_version.check(FILE, said)


def test_uv_refuses_the_older_ones_and_knows_the_newest(tmp_path: Path) -> None:
    making = [find_uv_bin(), "venv", "--offline", "--python", "3.5", str(tmp_path / "made")]
    done = subprocess.run(making, capture_output=True, text=True, check=False)
    assert "Python <3.6 is not supported" in done.stderr
    listing = [find_uv_bin(), "python", "list", "--all-versions", "--only-downloads", "--offline"]
    listed = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    released = {int(minor) for minor in re.findall(r"^cpython-3\.(\d+)\.\d+-", listed, re.MULTILINE)}
    assert (3, max(released)) == python_version._PYTHONS[-1]
