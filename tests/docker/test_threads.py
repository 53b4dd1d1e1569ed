"""How many threads a run's frameworks are told to use, by the start script in containers with limits."""

import os
import subprocess
from pathlib import Path

import pytest
from trainer.backends import base

_SHOW = (
    ': >/tmp/environment; sh /start.sh /tmp/result /tmp/environment sh -c "'
    'echo \\$OMP_NUM_THREADS,\\$TF_NUM_INTRAOP_THREADS,\\$TF_NUM_INTEROP_THREADS"'
)
CORES = len(os.sched_getaffinity(0))
pytestmark = pytest.mark.skipif(CORES < 2, reason="a quota below one core has no effect on one core")


def told(*options: str) -> str:
    """The three variables in a container with these options."""
    start = Path(base.__file__).with_name("start.sh")
    done = subprocess.run(
        ["docker", "run", "--rm", f"--volume={start}:/start.sh:ro", *options,
         os.environ["TRAINER_BASE_IMAGE"], "sh", "-c", _SHOW],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()[-1]


@pytest.mark.parametrize(
    ("options", "threads"),
    [
        ([], ",,"),
        ([f"--cpus={CORES}"], ",,"),
        ([f"--cpus={CORES - 0.5}"], ",,"),
        (["--cpus=0.3"], "1,1,1"),
        (["--cpus=1"], "1,1,1"),
        (["--cpuset-cpus=0"], ",,"),  # frameworks see that for themselves
        (["--cpus=1", "--env=OMP_NUM_THREADS=7"], "7,1,1"),
        (["--cpus=1", "--env=TF_NUM_INTRAOP_THREADS=3"], "1,3,1"),
    ],
)
def test_threads_are_as_many_as_the_quota_has_cores(options: list[str], threads: str) -> None:
    assert told(*options) == threads


@pytest.mark.parametrize(("limit", "threads"), [("max 100000", ",,"), ("50000 100000", "1,1,1")])
def test_the_quota_of_the_second_version_of_cgroups_is_read_too(
    tmp_path: Path, limit: str, threads: str
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    (tmp_path / "cpu.max").chmod(0o644)
    assert told(f"--volume={tmp_path}:/sys/fs/cgroup:ro") == threads
