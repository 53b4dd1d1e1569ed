"""The GPU check as on a bare machine: Python 3.12 with PyTorch and JAX, wheels, no network and no engine.

The machine is an environment of `tooling/gpu_check/machine.txt`: 5 GB, since PyTorch's wheel carries CUDA. It
is made once, into ~/.cache/trainer-test-gpu-machine or $TRAINER_TEST_GPU_MACHINE.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import uv
from gpu_check import environment, page, record, wheels
from gpu_check.rates import FED, HELD, OURS
from gpu_check.record import Record
from support import REPOSITORY

pytestmark = pytest.mark.timeout(1500)  # with what is installed for it


@pytest.fixture(scope="module")
def machine() -> Path:
    """The interpreter of a machine that has what machine.txt says."""
    python = sys.executable if sys.version_info[:2] == (3, 12) else shutil.which("python3.12")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True).returncode:
        pytest.skip("no Python 3.12 is here, which such a machine has; .ci/run names one")
    wanted = environment.MACHINE
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]
    said = os.environ.get("TRAINER_TEST_GPU_MACHINE")
    places = Path(said) if said else Path.home() / ".cache" / "trainer-test-gpu-machine"
    places.mkdir(parents=True, exist_ok=True)
    path = places / digest
    with (places / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (path / "complete").exists():
            for old in places.glob("*/"):
                shutil.rmtree(old)
            _uv("venv", "--python", python, "--no-python-downloads", str(path))
            _uv("pip", "install", "--compile-bytecode", "--python", str(path), "-r", str(wanted))
            (path / "complete").touch()
    return path / "bin" / "python"


def _uv(*arguments: str) -> None:
    command = [uv.find_uv_bin(), "--quiet", "--no-cache", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def checked(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    """What the small check writes, in a network namespace of its own, without the engine's socket."""
    folder = tmp_path_factory.mktemp("check")
    wheels.fetch(folder / "wheels")
    variables = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder),
        "PYTHONPATH": str(REPOSITORY / "tooling"),
        "DOCKER_HOST": f"unix://{folder}/none", "TMPDIR": str(folder),
    }  # fmt: skip
    # `unshare --map-root-user` takes no root where users may have namespaces.
    alone = ["unshare", "--map-root-user", "--net", "sh", "-ec", 'ip link set lo up; exec "$@"', "sh"]
    done = subprocess.run(
        [*alone, str(machine), "-m", "gpu_check", "--small", "--minutes=10",
         f"--wheels={folder / 'wheels'}", f"--out={folder / 'out'}"],
        cwd=folder, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
    assert done.returncode == 0
    return record.read(folder / "out" / "gpu_check.json"), folder / "out"


def test_every_section_ends_by_itself(checked: tuple[Record, Path]) -> None:
    known, _ = checked
    assert {section.name: section.ended for section in known.sections} == dict.fromkeys(
        [section.name for section in known.sections], "complete"
    )


def test_what_takes_a_card_has_not_passed(checked: tuple[Record, Path]) -> None:
    known, _ = checked
    without = {finding.what for section in known.sections for finding in section.findings
               if finding.outcome == "no GPU here"}  # fmt: skip
    assert {"GPU", "pre-flight: good case", "GPU utilization", "share of the measured peak"} <= without


@pytest.mark.parametrize(
    ("name", "by", "gflop"),  # a sample; JAX and PyTorch differ in what they count besides products
    [
        ("tensorflow-jax", "JAX", (0.012, 0.02)),
        ("inceptionv3-torch", "PyTorch", (0.45, 0.6)),
        ("efficientnetb0-torch", "PyTorch", (0.025, 0.05)),
    ],
)
def test_keras_projects_train_beside_plain_loops(
    checked: tuple[Record, Path], name: str, by: str, gflop: tuple[float, float]
) -> None:
    [section] = (section for section in checked[0].sections if section.name == name)
    assert all(re.fullmatch(rf"Keras [\d.]+ on {by} \S+", finding.by) for finding in section.findings)
    results = {finding.what: finding for finding in section.findings}
    for way in (OURS, FED, HELD, "plain loop, bfloat16"):
        assert (results[way].outcome, results[way].unit) == ("measured", "samples/s")
        assert float(str(results[way].value)) > 0
    assert gflop[0] < float(str(results["FLOPs of a training step for one sample"].value)) < gflop[1]
    for operation in ("matrix product", "convolution"):
        assert float(str(results[f"relative error of a float32 {operation} in a run"].value)) < 1e-5
    assert f"{FED}: share of a step that waits for input" in results
    assert 0 < float(str(results[f"{OURS}: input is prepared"].value)) < 100
    assert {results[f"trainkit, {precision}"].outcome for precision in ("TF32", "float16")} == {"no GPU here"}


def test_keras_gives_the_same_numbers(checked: tuple[Record, Path]) -> None:
    [section] = (section for section in checked[0].sections if section.name == "keras-same-jax")
    twice, resumed, *precisions = section.findings
    assert (twice.outcome, resumed.outcome) == ("passed", "passed")
    apart, on_card = precisions[::2], precisions[1::2]
    assert [float(str(finding.value)) <= 1e-3 for finding in apart] == [True, True]
    assert [finding.outcome for finding in on_card] == ["no GPU here", "no GPU here"]


def test_each_line_of_the_page_is_of_the_json(checked: tuple[Record, Path]) -> None:
    known, out = checked
    output = (out / "gpu_check.md").read_text()
    assert output == page.render(known)
    assert "Keras was run on JAX and PyTorch. Keras was not run on TensorFlow." in output
    # Each row is that of one finding, in their order, and all other lines are of the record and its sections.
    rows = [re.split(r" ?(?<!\\)\| ?", line)[1:-1] for line in output.splitlines() if line.startswith("|")]
    findings = [finding for section in known.sections for finding in section.findings]
    body = [row for row in rows if row[:2] != ["what", "value"] and set("".join(row)) != {"-"}]
    assert [(row[0], row[2], row[3]) for row in body] == [
        (finding.what, finding.unit, finding.by) for finding in findings
    ]
    for row, finding in zip(body, findings, strict=True):
        value = row[1].removeprefix(f"{finding.outcome}: ")
        if isinstance(finding.value, float):
            assert float(value) == pytest.approx(finding.value, rel=1e-3, abs=1e-12)
        else:
            assert value == (finding.value or finding.outcome)
    titles = [line.removeprefix("## ") for line in output.splitlines() if line.startswith("## ")]
    assert titles == [section.title for section in known.sections]
