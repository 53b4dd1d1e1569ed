"""What the start script of a job sets for its threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY
from trainer.backends import base
from trainer.backends.job_output import JobOutput, Said

from unit.helpers import put

NAMES = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def seen(folder: Path, environment: str = "", show: str = "$OMP_WAIT_POLICY", **variables: str) -> str:
    """What a command shows of its variables."""
    start = Path(base.__file__).with_name("start.sh")
    payload = {name: value for name, value in os.environ.items() if name not in NAMES}
    put(folder / "environment", environment)
    command = ["sh", str(start), str(folder / "result"), str(folder / "environment")]
    done = subprocess.run(
        [*command, "sh", "-c", f'echo "{show}"'],
        env={**payload, **variables}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_threads_that_wait_sleep(tmp_path: Path) -> None:
    assert seen(tmp_path) == "PASSIVE"


@pytest.mark.parametrize("value", ["ACTIVE", ""])
def test_what_is_set_stays_as_it_is(tmp_path: Path, value: str) -> None:
    assert seen(tmp_path, OMP_WAIT_POLICY=value) == value
    assert seen(tmp_path, environment=f"OMP_WAIT_POLICY='{value}'\n") == value


@pytest.mark.parametrize(("own", "threads"), [("", "3 3 3"), ("1", "1 3 3")])
def test_a_run_with_cores_of_its_own_uses_as_many_threads(tmp_path: Path, own: str, threads: str) -> None:
    environment = f"OMP_NUM_THREADS={own}\n" if own else ""
    show = "$OMP_NUM_THREADS $TF_NUM_INTRAOP_THREADS $TF_NUM_INTEROP_THREADS"
    assert seen(tmp_path, environment, show, TRAINER_CPUS="3") == threads


def test_what_is_said_of_progress_goes_to_the_output_alone(tmp_path: Path) -> None:
    said = "from trainkit import live; live.show('fit')"
    trainkit = REPOSITORY / "trainer_images" / "trainkit"
    start = Path(base.__file__).with_name("start.sh")
    put(tmp_path / "environment")
    command = ["sh", str(start), str(tmp_path / "result"), str(tmp_path / "environment"), "sh", "-c"]
    script = f'"{sys.executable}" -c "{said}"; "{sys.executable}" -c "{said}" >"{tmp_path}/elsewhere"'
    done = subprocess.run(
        [*command, script], env={**os.environ, "PYTHONPATH": str(trainkit)}, capture_output=True, check=True
    )
    items = list(JobOutput().feed(done.stdout))
    assert [item.part for item in items if isinstance(item, Said)] == ["fit"]
    assert (tmp_path / "elsewhere").read_text() == ""
