"""The benchmarks: what they write down, and what they read from a build."""

import json
import re
from pathlib import Path

import pytest
from bench import images, ratios
from bench.ratios import Figures, Goal
from support import REPOSITORY

BUILD = """\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#7 [stage-2 4/7] RUN --mount=type=bind,from=lock,source=/first.txt install
#7 {first}
#8 [stage-2 5/7] RUN install the rest
#8 0.4 Downloading
#8 DONE 3.2s
#9 exporting to image
#9 DONE 0.1s
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    page = tmp_path / "benchmarks.md"
    monkeypatch.setattr(ratios, "PAGE", page)
    monkeypatch.setattr(ratios, "RECORD", page.with_suffix(".json"))
    return page


def figures(ratio: float, *, most: float | None = None, least: float | None = None) -> Figures:
    goals = [Goal("new / old", ratio, most=most, least=least)]
    return Figures(
        "speed", {"new": "the new way"}, {"new": [ratio, 9.0, ratio]}, goals, machine={"cpu": "one"}
    )


def test_the_figures_stand_between_their_marks_beside_those_of_before(page: Path) -> None:
    page.write_text(
        "# Speed\n\n<!-- speed: written by make bench -->\nold\n<!-- end of speed -->\n\nWhat it means.\n"
    )
    for ratio in (0.5, 0.25):
        with pytest.raises(SystemExit) as ended:
            ratios.finish(figures(ratio, most=1), as_json=True, record=True)
        assert ended.value.code == 0
    output = page.read_text()
    assert "| the new way | 0.25 | 0.25 | 9 | 3 |" in output
    assert "| new / old | 0.25 | at most 1 | reached | 0.5 |" in output
    assert output.startswith("# Speed\n")
    assert output.endswith("<!-- end of speed -->\n\nWhat it means.\n")
    assert "old\n" not in output
    assert json.loads(page.with_suffix(".json").read_text())["speed"]["ratios"] == {"new / old": 0.25}


def test_a_missed_goal_fails(page: Path) -> None:
    for missed in (figures(1.2, most=1.1), figures(4, least=5)):
        with pytest.raises(SystemExit) as ended:
            ratios.finish(missed, as_json=True, record=False)
        assert ended.value.code == 1
    assert not page.exists()


def test_every_benchmark_has_its_place_in_the_documentation() -> None:
    [names] = re.findall(r"^BENCHMARKS := (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    output = (REPOSITORY / "docs" / "benchmarks.md").read_text()
    for name in names.split():
        assert (REPOSITORY / "tooling" / "bench" / f"{name}.py").is_file()
        assert output.count(f"<!-- {name}: written by make bench -->") == 1
        assert f"`tooling/bench/{name}.py`" in output


@pytest.mark.parametrize(("first", "took"), [("CACHED", None), ("DONE 9.9s", 9.9)])
def test_it_is_seen_which_steps_of_a_build_ran(first: str, took: float | None) -> None:
    results = {step[:13]: seconds for step, seconds in images.steps(BUILD.format(first=first)).items()}
    assert results == {"[internal] lo": 0.0, "[stage-2 4/7]": took, "[stage-2 5/7]": 3.2}


def test_a_step_that_ran_and_is_found_afterwards_has_run() -> None:
    name = "#{} [stage-2 4/7] RUN install\n#{} {}\n"
    log = name.format(7, 7, "DONE 9.9s") + name.format(12, 12, "CACHED")
    assert images.steps(log) == {"[stage-2 4/7] RUN install": 9.9}
