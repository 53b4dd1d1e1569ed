"""The GPU check: its page says what its JSON has, a section that goes wrong costs only itself."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from gpu_check import environment, float32_errors, page, plan, record, running, wheels
from gpu_check.plan import PlannedSection
from gpu_check.rates import ON_DEVICE, Variant, Work, compare
from gpu_check.record import Finding, Record, Section, checked, no_card
from gpu_check.results import Results
from gpu_check.sampling import Use
from gpu_check.setting import Setting
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from support import REPOSITORY

from unit.helpers import put

FINDINGS = (
    Finding("GPU", "NVIDIA Example"),
    Finding("plain loop", 1234.5, "samples/s", by="torch 2", said="1200 … 1300 in 5 rounds"),
    checked("the same twice", passed=False, said="loss 0.5 | 0.6"),
    no_card("GPU utilization"),
)
KNOWN = Record(
    "2026-01-01 10:00 UTC", False, 8.0, 1, 70.0, (Section("a", "Speed", "complete", 7.0, FINDINGS),)
)


def test_the_page_is_what_the_json_says(tmp_path: Path) -> None:
    record.write(KNOWN, tmp_path / "gpu_check.json")
    done = subprocess.run(
        [sys.executable, "-m", "gpu_check.page", tmp_path / "gpu_check.json"],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": str(REPOSITORY / "tooling")},
    )  # fmt: skip
    assert done.stdout == page.render(KNOWN)
    assert done.stdout.startswith("# GPU check: NVIDIA Example\n")
    assert "| plain loop | 1234 | samples/s | torch 2 | 1200 … 1300 in 5 rounds |" in done.stdout
    assert "| the same twice | failed |  |  | loss 0.5 \\| 0.6 |" in done.stdout
    assert "| GPU utilization | no GPU here |  |  |  |" in done.stdout


@pytest.mark.parametrize("left_out", FINDINGS, ids=lambda finding: finding.what)
def test_what_the_json_has_not_is_not_on_the_page(left_out: Finding) -> None:
    fewer = [finding for finding in FINDINGS if finding is not left_out]
    output = page.render(replace(KNOWN, sections=[replace(KNOWN.sections[0], findings=fewer)]))
    assert len(output.splitlines()) == len(page.render(KNOWN).splitlines()) - 1
    assert not re.search(rf"^\| {left_out.what} \|", output, re.MULTILINE)


def test_only_what_did_not_pass_is_a_failure() -> None:
    assert KNOWN.failures == ["the same twice"]
    torn = Section("b", "Torn", "failed: signal 9: it said nothing", 1.0)
    late = Section("c", "Late", "not run: the time was up", 0.0)
    assert replace(KNOWN, sections=[torn, late]).failures == ["Torn"]


def test_what_is_missing_is_counted_and_no_whole_check() -> None:
    assert KNOWN.is_complete
    assert KNOWN.summary == "1 of 1 sections complete. Failures: 1."
    cut = Section("b", "Cut", "cut off after 19 seconds", 19.0)
    late = Section("c", "Late", "not run: interrupted", 0.0)
    some = replace(KNOWN, planned=3, sections=[*KNOWN.sections, cut, late])
    assert not some.is_complete
    assert some.summary == "1 of 3 sections complete, 1 cut off, 1 not run. Failures: 1."
    assert some.summary in page.render(some).splitlines()[2]
    assert not replace(KNOWN, planned=2).is_complete


@pytest.mark.parametrize(
    ("backends", "said"),
    [
        ({}, "Keras was not run on any backend."),
        ({"jax": FINDINGS}, "Keras was run on JAX. Keras was not run on TensorFlow or PyTorch."),
        (
            {"torch": [checked("the same twice", passed=True)], "jax": FINDINGS},
            "Keras was run on JAX and PyTorch. Keras was not run on TensorFlow.",
        ),
        ({"jax": [Finding("data", "few")]}, "Keras was not run on any backend."),
        (dict.fromkeys(("tensorflow", "jax", "torch"), FINDINGS),
         "Keras was run on TensorFlow and JAX and PyTorch."),
    ],
)  # fmt: skip
def test_the_page_names_the_backends_that_trained_and_those_that_did_not(
    backends: Mapping[str, Sequence[Finding]], said: str
) -> None:
    sections = [Section(name, name, "complete", 1.0, findings, name) for name, findings in backends.items()]
    assert page.render(replace(KNOWN, sections=sections)).splitlines()[4] == said


def test_a_way_that_there_is_no_time_for_costs_no_other_its_figures() -> None:
    now = time.monotonic()
    setting = Setting("", "", card=False, small=True, until=now + 2)

    def epoch() -> float:
        time.sleep(1.5)
        return 5.0

    ways = {"first": Variant(epoch, "float32"), "second": Variant(epoch, "float32")}
    results = {
        item.what: item for item in compare(ways, Work(1e9, "by hand", lambda *_: 1.0), setting, "torch")
    }
    assert (results["first"].value, results["first"].outcome) == (5.0, "measured")
    assert (results["second"].outcome, results["second"].said) == (
        "not run",
        "the time of the section was up",
    )


def test_a_way_that_fails_later_costs_no_other_its_figures() -> None:
    setting = Setting("", "", card=False, small=False, until=time.monotonic() + 100)
    rates = iter([1.0, 2.0])
    ways = {"breaks": Variant(lambda: next(rates), "float32"), "works": Variant(lambda: 5.0, "float32")}
    results = {
        item.what: item for item in compare(ways, Work(1e9, "by hand", lambda *_: 1.0), setting, "torch")
    }
    assert (results["breaks"].value, results["breaks"].rounds) == (2.0, (2.0,))
    assert (results["breaks: round 2"].outcome, results["breaks: round 2"].said) == (
        "failed",
        "StopIteration: ",
    )
    assert results["works"].rounds == (5.0,) * 5


def test_ways_are_compared_precision_by_precision() -> None:
    setting = Setting("", "", card=False, small=False, until=time.monotonic() + 100)
    rates = {"trainkit, float32": 6.0, "plain loop, float32": 8.0, f"plain loop, float32{ON_DEVICE}": 10.0,
             "plain loop, bfloat16": 9.0, "trainkit, TF32": 7.0}  # fmt: skip
    ways = {name: Variant(lambda rate=rate: rate, "float32") for name, rate in rates.items()}  # type: ignore[misc]
    findings = compare(ways, Work(1e9, "by hand", lambda *_: 1.0), setting, "torch")
    assert {item.what: item.value for item in findings if item.unit == "%"} == {
        "plain loop, float32: share of a step that waits for input": pytest.approx(20),
        f"trainkit, float32: share of the rate of plain loop, float32{ON_DEVICE}": pytest.approx(60),
        "trainkit, float32: share of the rate of plain loop, float32": pytest.approx(75),
    }


def test_a_device_that_nvml_knows_nothing_of_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class NVMLError(Exception):
        pass

    def refuse(*_: object) -> None:
        raise NVMLError("Not Supported")

    asked: list[object] = []
    nvml = SimpleNamespace(
        NVMLError=NVMLError, nvmlInit=lambda: None, nvmlDeviceGetHandleByUUID=asked.append,
        nvmlDeviceGetHandleByIndex=asked.append, nvmlDeviceGetUtilizationRates=refuse,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    for visible, device in {"MIG-abc": "MIG-abc", "3,1": 3, "": 0}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        with Use() as use:
            time.sleep(0.3)
        assert (use.error, use.busy, asked.pop()) == ("NVML: Not Supported", [], device)


@pytest.mark.parametrize(("bits", "least", "most"), [(23, 0, 1e-5), (10, 1e-4, 1e-2)])
def test_the_error_of_float32_tells_tf32(bits: int, least: float, most: float) -> None:
    def rounded(array: NDArray[np.float32]) -> NDArray[np.float32]:
        fraction, exponent = np.frexp(array.astype(np.float64))
        return np.asarray(np.ldexp(np.round(np.ldexp(fraction, bits + 1)), exponent - bits - 1), np.float32)

    def convolution(pixels: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
        windows = sliding_window_view(rounded(pixels), kernel.shape[:2], axis=(1, 2))
        return np.asarray(np.einsum("nhwcij,ijcf->nhwf", windows, rounded(kernel), optimize=True))

    result = list(float32_errors.find(lambda a, b: rounded(a) @ rounded(b), convolution, "numpy"))
    assert [finding.what for finding in result] == [
        f"relative error of a float32 {what} in a run" for what in ("matrix product", "convolution")
    ]
    assert all(least <= float(str(finding.value)) < most for finding in result)


def test_results_that_cannot_be_written_are_kept_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    results = Results.claim(tmp_path / "out")
    with pytest.raises(SystemExit, match="There are results of another check in"):
        Results.claim(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    put(tmp_path / "out", "a file")
    results.write(KNOWN)
    assert not results.close(KNOWN)
    out, err = capsys.readouterr()
    assert out == page.render(KNOWN) + "\n"
    assert err == f"Error: {tmp_path}/out cannot be written: Not a directory.\n" \
                  f"Hint:  The results are in {results.folder}.\n"  # fmt: skip
    assert results.page.read_text() == page.render(KNOWN)
    assert json.loads((results.folder / "gpu_check.json").read_text())["planned"] == 1


SECTION = """\
import os, time
from gpu_check.record import Finding
def find(setting):
    yield Finding("first", 1.0)
    {then}
"""


@pytest.mark.parametrize(
    ("then", "ended"),
    [
        ("yield Finding('second', 2.0)", "complete"),
        ("raise MemoryError('all gone')", "failed: exit code 1: MemoryError: all gone"),
        ("os.abort()", "failed: signal 6: "),
        ("time.sleep(60)", "cut off after 5 seconds"),
        ("os.kill(os.getppid(), 2); time.sleep(60)", "interrupted after "),
    ],
)
def test_a_section_that_goes_wrong_costs_only_what_it_had_not_found_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str, ended: str
) -> None:
    package = tmp_path / "tooling" / "gpu_check"
    package.mkdir(parents=True)
    for module in ("__init__", "orphans", "plan", "record", "setting", "section"):
        source = (REPOSITORY / "tooling" / "gpu_check" / f"{module}.py").read_text()
        (package / f"{module}.py").write_text(source)
    (package / "sections").mkdir()
    (package / "sections" / "machine.py").write_text(SECTION.format(then=then))
    monkeypatch.setattr(running, "_TOOLING", tmp_path / "tooling")
    planned = PlannedSection("machine", "Machine", "machine", 5.0)
    setting = Setting(str(tmp_path / "work"), "", card=False, small=False)
    result = running.run(planned, Path(sys.executable), setting, time.monotonic() + 100)
    assert result.ended.startswith(ended)
    assert result.findings[0] == Finding("first", 1.0)


def test_a_section_that_there_is_no_time_for_says_so(tmp_path: Path) -> None:
    setting = Setting(str(tmp_path), "", card=False, small=True)
    result = running.run(plan.SECTIONS[0], Path(sys.executable), setting, time.monotonic() + 1)
    assert (result.ended, result.findings) == ("not run: the time was up", ())


def test_a_section_is_told_its_backend_before_it_imports_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tooling" / "gpu_check"
    shutil.copytree(environment.HERE, package, ignore=shutil.ignore_patterns("sections"))
    source = "import os\nfrom gpu_check.record import Finding\nseen = dict(os.environ)\n" \
             "def find(setting):\n    for name in ('KERAS_BACKEND', 'TRAINER_DETERMINISTIC'):\n" \
             "        yield Finding(name, seen.get(name, 'none'))\n" \
             "    yield Finding('project', setting.project)\n"  # fmt: skip
    put(package / "sections" / "machine.py", source)
    monkeypatch.setattr(running, "_TOOLING", tmp_path / "tooling")
    [same] = (item for item in plan.SECTIONS if item.name == "keras-same-jax")
    planned = replace(same, name="machine", module="machine")
    setting = Setting(str(tmp_path / "work"), "", card=False, small=False)
    result = running.run(planned, Path(sys.executable), setting, time.monotonic() + 100)
    payload = {finding.what: finding.value for finding in result.findings}
    assert payload == {"KERAS_BACKEND": "jax", "TRAINER_DETERMINISTIC": "1", "project": "tensorflow"}
    assert result.keras_backend == "jax"


def test_a_small_check_leaves_out_what_other_sections_ask_already() -> None:
    left_out = [planned for planned in plan.SECTIONS if planned.large]
    asked = {(planned.module, planned.project) for planned in plan.SECTIONS if not planned.large}
    assert left_out
    assert {(planned.module, planned.project) for planned in left_out} <= asked


def test_every_section_has_its_module_and_a_name_of_its_own() -> None:
    names = [planned.name for planned in plan.SECTIONS]
    assert len(set(names)) == len(names)
    modules = {path.stem for path in (environment.HERE / "sections").glob("*.py")} - {"__init__"}
    assert {planned.module for planned in plan.SECTIONS} == modules


def test_without_wheels_it_says_where_they_come_from(tmp_path: Path) -> None:
    with pytest.raises(environment.EnvironmentFailed, match="There are no wheels in") as failed:
        environment.make(tmp_path / "environment", tmp_path / "none")
    assert failed.value.hint.endswith("make gpu-check-wheels, and pass --wheels FOLDER")


def test_a_damaged_wheel_and_missing_ones_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {"one": b"1", "other_two": b"2"}
    lines = [f"{name.replace('_', '-')}==1.0 \\\n    --hash=sha256:{hashlib.sha256(data).hexdigest()}\n"
             for name, data in contents.items()]  # fmt: skip
    monkeypatch.setattr(environment, "LOCK", put(tmp_path / "lock", "".join(lines)))
    folder = tmp_path / "wheels"
    for name in ("trainer", "trainkit"):
        zipfile.ZipFile(put(folder / f"{name}-0.1.0-py3-none-any.whl", ""), "w").close()
    put(folder / "one-1.0-py3-none-any.whl", b"1")
    lacking = f"{re.escape(str(folder))} lacks the wheels of other-two"
    with pytest.raises(environment.EnvironmentFailed, match=lacking):
        environment.make(tmp_path / "environment", folder)
    put(folder / "other_two-1.0-py3-none-any.whl", b"3")
    with pytest.raises(environment.EnvironmentFailed, match=r"other_two-1.0-py3-none-any.whl is damaged"):
        environment.make(tmp_path / "environment", folder)


def check(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpu_check", *arguments], cwd=cwd, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "tooling")},
    )  # fmt: skip


def test_what_cannot_work_is_two_lines_and_no_file(tmp_path: Path) -> None:
    put(tmp_path / "file")
    put(tmp_path / "old" / "gpu_check.json", "results")
    for arguments, message in {
        (): "There is no nvidia-smi on PATH, so no GPU can be checked.",
        ("--small", "--wheels", "none"): f"There are no wheels in {tmp_path}/none",
        ("--only", "peaks"): "There is no section peaks.",
        ("--small", "--out", "file"): f"{tmp_path}/file cannot be written",
        ("--small", "--out", "old"): "There are results of another check in",
    }.items():
        done = check(*arguments, cwd=tmp_path)
        error, hint = done.stderr.splitlines()
        assert (done.returncode, done.stdout) == (1, "")
        assert error.startswith(f"Error: {message}")
        assert hint.startswith("Hint:  ")
    assert (tmp_path / "old" / "gpu_check.json").read_text() == "results"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "old"]


@pytest.mark.parametrize("arguments", [("--minutes", "0"), ("--minutes", "abc"), ("--only",)])
def test_options_that_say_nothing_are_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = check(*arguments, cwd=tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])


def test_what_a_section_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose own parent has ended, in a session of its own."""
    package = tmp_path / "tooling" / "gpu_check"
    shutil.copytree(environment.HERE, package, ignore=shutil.ignore_patterns("sections"))
    stubborn = put(tmp_path / "stubborn.sh", "trap '' TERM\necho $$ > pid\nsleep 100\n")
    put(package / "sections" / "machine.py", SECTION.format(
        then=f"os.system('setsid sh {stubborn} &'); time.sleep(60)"
    ))  # fmt: skip
    monkeypatch.setattr(running, "_TOOLING", tmp_path / "tooling")
    script = "import sys, time; from pathlib import Path; from gpu_check import orphans, running; " \
             "from gpu_check.plan import PlannedSection; " \
             "from gpu_check.setting import Setting; orphans.adopt(); " \
             "print(running.run(PlannedSection('machine', '', 'machine', 5), Path(sys.executable), " \
             "Setting(sys.argv[1], '', card=False, small=False), time.monotonic() + 100).ended)"  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "work")], capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "tooling")},
    )  # fmt: skip
    assert done.stdout == "cut off after 5 seconds\n", done.stderr
    pid = int((tmp_path / "work" / "machine" / "work" / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_wheels_that_are_too_large_to_travel_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "_call", lambda _: (tmp_path / "w" / "one.whl").write_bytes(b"x" * 2000))
    assert wheels.fetch(tmp_path / "w") == pytest.approx(0.002)
    monkeypatch.setattr(wheels, "MOST_MB", 0.001)
    with pytest.raises(SystemExit, match="MB may travel"):
        wheels.fetch(tmp_path / "w")


def test_no_wheel_is_of_what_the_machine_has() -> None:
    def names(text: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9][a-z0-9.-]*)", text, re.MULTILINE))

    lock = environment.LOCK.read_text()
    assert names(lock) & names(environment.MACHINE.read_text()) == set()
    assert {"mlflow", "mlflow-skinny", "keras"} <= names(lock)
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=[a-z])", lock)[1:])
