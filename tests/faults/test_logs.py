"""Output that is long, not text, or that nobody reads, keeps no run from ending truthfully."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import docker
import pytest
from support import Site
from trainer.backends.docker.config import container_name

LOUD = """
import sys, time
size, then = int(sys.argv[1]), sys.argv[2]
line = b"\\xff\\xfe not utf-8 " + b"x" * 986 + b"\\n"
for number in range(size // len(line)):
    sys.stdout.buffer.write(line)
sys.stdout.buffer.flush()
print("the end", flush=True)
if then == "sleep":
    time.sleep(300)
"""
MLPROJECT = """
name: loud
docker_env: {image: trainer/sklearn}
entry_points:
  main:
    parameters: {size: {type: int, default: 1000000}, then: {type: string, default: end}}
    command: python loud.py {size} {then}
"""


@pytest.fixture(scope="module")
def loud(site: Site) -> Site:
    """The workspace with a project that writes a lot."""
    project = site.root / "train_code" / "loud"
    project.mkdir()
    (project / "MLproject").write_text(MLPROJECT)
    (project / "loud.py").write_text(LOUD)
    return site


def run_id(process: subprocess.Popen[str]) -> str:
    """Of the run that the process has just started; its stdout is left alone."""
    assert process.stderr
    for line in process.stderr:
        if found := re.match(r"Run \S+ \(([0-9a-f]{32})\)", line):
            return found.group(1)
    raise AssertionError(process.communicate())


def until(site: Site, run: str, status: str, seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while site.run(run).info.status != status:
        assert time.monotonic() < give_up, site.run(run).info.status
        time.sleep(0.2)


def test_a_reader_that_goes_away_costs_nothing(loud: Site, tmp_path: Path) -> None:
    process = loud.start("run", "loud")
    assert process.stdout
    run = run_id(process)
    process.stdout.read(10)
    process.stdout.close()  # `| head -c 10`
    assert process.wait(timeout=180) == 0
    assert loud.run(run).info.status == "FINISHED"
    assert loud.artifact(run, "train.log", tmp_path).read_bytes().endswith(b"x\nthe end\n")


def test_a_run_that_fails_says_so_by_its_exit_code_though_nobody_reads(site: Site) -> None:
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as gone:
        gone.wait()
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer", "run", "probe", "--mode", "exit"], cwd=site.root,
            stdout=gone.stdin, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert gone.stdin
        gone.stdin.close()
    assert process.wait(timeout=180) == 3
    assert site.runs()[0].info.status == "FAILED"


def test_a_run_ends_while_nobody_reads_and_all_is_there_for_who_reads_later(loud: Site) -> None:
    process = loud.start("run", "loud")
    run = run_id(process)
    until(loud, run, "FINISHED")
    assert process.poll() is None  # it waits for its reader, as any program does
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.count("not utf-8") == 1000
    assert "the end" in out


def test_ctrl_c_works_while_nobody_reads(loud: Site, client: docker.DockerClient) -> None:
    process = loud.start("run", "loud", "--then", "sleep")
    container = client.containers.get(container_name(run_id(process)))
    run = container.labels["trainer.run_id"]
    give_up = time.monotonic() + 30
    while container.logs(tail=1) != b"the end\n":  # the pipe is full by then
        assert time.monotonic() < give_up
        time.sleep(0.1)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert time.monotonic() - start < 12
    process.communicate()
    assert loud.run(run).info.status == "KILLED"


def test_a_log_of_100_mb_arrives_whole(loud: Site, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer", "run", "loud", "--size", "100000000"],
            cwd=loud.root, stdout=out, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        run = run_id(process)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    log = loud.artifact(run, "train.log", tmp_path)
    assert log.read_bytes().count(b" not utf-8 ") == 100_000
    assert (tmp_path / "out").read_bytes().count(b" not utf-8 ") == 100_000
    # Each of the two bytes that are no text has become U+FFFD, three bytes long.
    assert log.stat().st_size == 100_000 * 1004 + len("the end\n")
