"""What is said of an environment whose image cannot be built."""

from pathlib import Path

import pytest
from trainer.errors import ImageError
from trainer.images.project_env import EnvironmentImage, explained

from unit.helpers import put

IMAGE = EnvironmentImage("env-wine", "debian", "12", "34", "3.8")
FETCHING = """\
#14 6.6   cause: Git operation failed
#14 6.6   fatal: unable to access 'https://me:hunter2@git.example.org/lib.git/': Could not resolve host
"""


@pytest.mark.parametrize(
    ("problem", "log", "message", "hint"),
    [
        (
            "The build failed: No interpreter found for Python 3.8",
            'ERROR: failed to solve: process "/bin/sh -c uv venv --python 3.8" did not complete',
            "The environment needs Python 3.8, which debian is not, and none could be fetched.",
            "Specify a base image that has it: --base-image python:3.8",
        ),
        (
            "The build failed",
            FETCHING,
            "A git repository that the environment names cannot be fetched: "
            "unable to access 'https://git.example.org/lib.git/': Could not resolve host",
            "Check its address, or name a version of a package registry instead. See LOG",
        ),
        ("The build failed", "exit code 1", "The build failed", "See log"),
        (
            "The build failed: No space left on device",
            FETCHING,
            "The build failed: No space left on device",
            "See log",
        ),
    ],
)
def test_a_failed_build_says_why(problem: str, log: str, message: str, hint: str, tmp_path: Path) -> None:
    file = put(tmp_path / "build.log", log)
    said = explained(IMAGE, ImageError(problem, "See log"), file)
    assert (said.message, said.hint.replace(str(file), "LOG")) == (message, hint)
