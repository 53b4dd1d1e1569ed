"""The GPU check: its page says what its JSON has, a section that goes wrong costs only itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from gpu_check import environment, page, plan, record, running, wheels
from gpu_check.plan import Planned
from gpu_check.rates import Way, Work, compare
from gpu_check.record import Finding, Record, Section, checked, no_card
from gpu_check.setting import Setting
from support import REPOSITORY

from unit.helpers import put

FINDINGS = (
    Finding("card", "NVIDIA Example"),
    Finding("plain loop", 1234.5, "samples/s", by="torch 2", said="1200 … 1300 in 5 rounds"),
    checked("the same twice", passed=False, said="loss 0.5 | 0.6"),
    no_card("use of the card"),
)
KNOWN = Record("2026-01-01 10:00 UTC", False, 8.0, 70.0, (Section("a", "Speed", "whole", 7.0, FINDINGS),))


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
    assert "| use of the card | no card here |  |  |  |" in done.stdout


@pytest.mark.parametrize("left_out", FINDINGS, ids=lambda finding: finding.what)
def test_what_the_json_has_not_is_not_on_the_page(left_out: Finding) -> None:
    fewer = [finding for finding in FINDINGS if finding is not left_out]
    said = page.render(replace(KNOWN, sections=[replace(KNOWN.sections[0], findings=fewer)]))
    assert len(said.splitlines()) == len(page.render(KNOWN).splitlines()) - 1
    assert not re.search(rf"^\| {left_out.what} \|", said, re.MULTILINE)


def test_only_what_did_not_pass_is_a_failure() -> None:
    assert KNOWN.failures == ["the same twice"]
    torn = Section("b", "Torn", "failed: signal 9: it said nothing", 1.0)
    late = Section("c", "Late", "not run: the time was up", 0.0)
    assert replace(KNOWN, sections=[torn, late]).failures == ["Torn"]


@pytest.mark.parametrize(
    ("backends", "said"),
    [
        ({}, "Keras was not run on TensorFlow or JAX or PyTorch."),
        ({"jax": FINDINGS}, "Keras was run on JAX. Keras was not run on TensorFlow or PyTorch."),
        (
            {"torch": [checked("the same twice", passed=True)], "jax": FINDINGS},
            "Keras was run on JAX and PyTorch. Keras was not run on TensorFlow.",
        ),
        ({"jax": [Finding("data", "few")]}, "Keras was not run on TensorFlow or JAX or PyTorch."),
        (dict.fromkeys(("tensorflow", "jax", "torch"), FINDINGS),
         "Keras was run on TensorFlow and JAX and PyTorch."),
    ],
)  # fmt: skip
def test_the_page_names_the_backends_that_trained_and_those_that_did_not(
    backends: Mapping[str, Sequence[Finding]], said: str
) -> None:
    sections = [Section(name, name, "whole", 1.0, findings, name) for name, findings in backends.items()]
    assert page.render(replace(KNOWN, sections=sections)).splitlines()[4] == said


def test_a_way_that_there_is_no_time_for_costs_no_other_its_figures() -> None:
    now = time.monotonic()
    setting = Setting("", "", card=False, small=True, until=now + 2)

    def epoch() -> float:
        time.sleep(1.5)
        return 5.0

    ways = {"first": Way(epoch, "float32"), "second": Way(epoch, "float32")}
    found = {one.what: one for one in compare(ways, Work(1e9, "by hand", lambda *_: 1.0), setting, "torch")}
    assert (found["first"].value, found["first"].outcome) == (5.0, "measured")
    assert (found["second"].outcome, found["second"].said) == ("not run", "the time of the section was up")


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
        ("yield Finding('second', 2.0)", "whole"),
        ("raise MemoryError('all gone')", "failed: exit code 1: MemoryError: all gone"),
        ("os.abort()", "failed: signal 6: "),
        ("time.sleep(60)", "cut off after 5 seconds"),
    ],
)
def test_a_section_that_goes_wrong_costs_only_what_it_had_not_found_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str, ended: str
) -> None:
    package = tmp_path / "tooling" / "gpu_check"
    package.mkdir(parents=True)
    for module in ("__init__", "plan", "record", "setting", "section"):
        source = (REPOSITORY / "tooling" / "gpu_check" / f"{module}.py").read_text()
        (package / f"{module}.py").write_text(source)
    (package / "sections").mkdir()
    (package / "sections" / "machine.py").write_text(SECTION.format(then=then))
    monkeypatch.setattr(running, "_TOOLING", tmp_path / "tooling")
    planned = Planned("machine", "Machine", "machine", 5.0)
    setting = Setting(str(tmp_path / "work"), "", card=False, small=False)
    found = running.run(planned, Path(sys.executable), setting, time.monotonic() + 100)
    assert found.ended.startswith(ended)
    assert found.findings[0] == Finding("first", 1.0)


def test_a_section_that_there_is_no_time_for_says_so(tmp_path: Path) -> None:
    setting = Setting(str(tmp_path), "", card=False, small=True)
    found = running.run(plan.SECTIONS[0], Path(sys.executable), setting, time.monotonic() + 1)
    assert (found.ended, found.findings) == ("not run: the time was up", ())


def test_a_section_is_told_its_backend_before_it_imports_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tooling" / "gpu_check"
    shutil.copytree(wheels.HERE, package, ignore=shutil.ignore_patterns("sections"))
    source = "import os\nfrom gpu_check.record import Finding\nseen = dict(os.environ)\n" \
             "def find(setting):\n    for name in ('KERAS_BACKEND', 'TRAINER_DETERMINISTIC'):\n" \
             "        yield Finding(name, seen.get(name, 'none'))\n" \
             "    yield Finding('project', setting.project)\n"  # fmt: skip
    put(package / "sections" / "machine.py", source)
    monkeypatch.setattr(running, "_TOOLING", tmp_path / "tooling")
    [same] = (one for one in plan.SECTIONS if one.name == "keras-same-jax")
    planned = replace(same, name="machine", module="machine")
    setting = Setting(str(tmp_path / "work"), "", card=False, small=False)
    found = running.run(planned, Path(sys.executable), setting, time.monotonic() + 100)
    said = {finding.what: finding.value for finding in found.findings}
    assert said == {"KERAS_BACKEND": "jax", "TRAINER_DETERMINISTIC": "1", "project": "tensorflow"}
    assert found.keras_backend == "jax"


def test_a_small_check_leaves_out_what_other_sections_ask_already() -> None:
    left_out = [planned for planned in plan.SECTIONS if planned.large]
    asked = {(planned.module, planned.project) for planned in plan.SECTIONS if not planned.large}
    assert left_out
    assert {(planned.module, planned.project) for planned in left_out} <= asked


def test_every_section_has_its_module_and_a_name_of_its_own() -> None:
    names = [planned.name for planned in plan.SECTIONS]
    assert len(set(names)) == len(names)
    modules = {path.stem for path in (wheels.HERE / "sections").glob("*.py")} - {"__init__"}
    assert {planned.module for planned in plan.SECTIONS} == modules


def test_without_wheels_it_says_where_they_come_from(tmp_path: Path) -> None:
    with pytest.raises(environment.EnvironmentFailed, match="make gpu-check-wheels"):
        environment.make(tmp_path / "environment", tmp_path / "none")


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

    lock = wheels.LOCK.read_text()
    assert names(lock) & names((wheels.HERE / "machine.txt").read_text()) == set()
    assert {"mlflow", "mlflow-skinny", "keras"} <= names(lock)
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=[a-z])", lock)[1:])
