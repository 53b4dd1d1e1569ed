"""What is too large to start a process with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.plan import exec_size

from unit.helpers import fails, run_plan

HINT = "Keep a large value in a file: a run reads what a parameter of type path names, or docker_env.volumes."
FITS = 131_071 - len("BIG=")


def test_what_linux_takes_is_taken_and_a_byte_more_is_not(tmp_path: Path) -> None:
    secret = {"BIG": "s" * FITS}
    exec_size.check(run_plan(tmp_path), secret)
    subprocess.run(["true"], env=secret, check=True)
    secret = {"BIG": "s" * (FITS + 1)}
    with pytest.raises(OSError, match="Argument list too long"):
        subprocess.run(["true"], env=secret, check=True)
    said = "The secret BIG has 131,072 bytes; Linux starts no process with one of more than 131,071."
    with fails(InvalidInput, said, HINT):
        exec_size.check(run_plan(tmp_path), secret)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"variables": {"BIG": "é" * 70_000}}, "The variable BIG has 140,004 bytes"),
        ({"command": ("bash", "-c", "x" * 140_000)}, "A word of the command of main has 140,000 bytes"),
    ],
)
def test_a_variable_or_a_word_of_the_command_that_is_too_large(
    tmp_path: Path, changes: dict[str, object], what: str
) -> None:
    with fails(InvalidInput, f"{what}; Linux starts no process with one of more than 131,071.", HINT):
        exec_size.check(run_plan(tmp_path, **changes), {})


def test_many_that_are_too_large_together(tmp_path: Path) -> None:
    some = {f"A{number:02}": "s" * 90_000 for number in range(21)}
    exec_size.check(run_plan(tmp_path, variables=some), {})
    subprocess.run(["true"], env=some, check=True)
    with pytest.raises(
        InvalidInput, match=r"^The command and the variables of demo have 2,070,\d+ bytes together; "
    ):
        exec_size.check(run_plan(tmp_path, variables=some), {"B": "x" * 90_000, "C": "x" * 90_000})
