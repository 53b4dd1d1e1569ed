"""Why a build failed, of what BuildKit printed."""

import pytest
from trainer.images import build_failure
from trainer.images.build_failure import Failure

PROCESS = 'process "/bin/sh -euc touch /x; uv pip install" did not complete successfully: exit code: 1'


def output(*step: str, solved: str = PROCESS) -> list[str]:
    """Of a build whose step said that."""
    return [
        "#11 0.100 done",
        "#12 [stage-2 5/7] RUN uv pip install",
        *(f"#12 {line}" for line in step),
        "#13 [stage-2 6/7] RUN true",
        f"#12 ERROR: {solved}",
        "------",
        " > [stage-2 5/7] RUN uv pip install:",
        "------",
        "Dockerfile:66",
        "--------------------",
        "  66 | >>> RUN uv pip install",
        "--------------------",
        f"ERROR: failed to solve: {solved}",
    ]


FULL = "No space left on device"


HASH = "what was downloaded for {} is not what its lock has the hash of."


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (["2.0   x No solution", "2.0   ╰─▶ Because x==1 needs y."], "Because x==1 needs y."),
        (["0.5 error: no such file", "0.6 hint: is it there?", ""], "error: no such file"),
        ([], "exit code: 1"),
    ],
)
def test_it_is_what_the_step_said_last(step: list[str], why: str) -> None:
    assert build_failure.explained(output(*step)) == Failure(why)


@pytest.mark.parametrize(
    ("step", "why", "advice"),
    [
        (
            ["1.2 error: failed", f"1.2   Caused by: {FULL} (os error 28)"],
            f"the disk is full ({FULL}).",
            "gc",
        ),
        ([f"0.3 tar: write error: {FULL}", "0.4 tar: exiting now"], f"the disk is full ({FULL}).", "gc"),
        (
            [
                "9.1   x No solution found when resolving dependencies:",
                "9.1   ╰─▶ Because torhc was not found in the package registry and you require",
                "9.1       torhc==2.13, we can conclude that your requirements are unsatisfiable.",
            ],
            "the package registry has no torhc.",
            "images add",
        ),
        (
            ["0.9   ╰─▶ Because there is no version of tabulate==99.1 and you require tabulate==99.1,"],
            "the package registry has no tabulate==99.1.",
            "images add",
        ),
        (
            ["3.1 ERROR: No matching distribution found for uv==99"],
            "the package registry has no uv==99.",
            "add",
        ),
        (["1.8 error: Hash mismatch for `tabulate==0.10.0`"], HASH.format("tabulate==0.10.0"), "images add"),
        (
            [
                "2.2 ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you",
                "2.2     uv==0.13.8 from https://example.org/uv.whl:",
            ],
            HASH.format("uv==0.13.8"),
            "images add",
        ),
        (["0.5 E: Unable to locate package libnone"], "Debian has no package libnone.", "apt:"),
        (["0.5 E: Package 'atom' has no installation candidate"], "Debian has no package atom.", "apt:"),
        (
            [
                "6.0 WARNING: Retrying after: Temporary failure in name resolution",
                "6.3 ERROR: No matching distribution found for uv==0.13.8",
            ],
            "there is no way out to the network (Temporary failure in name resolution).",
            "proxy",
        ),
        (
            ["4.0 The package `dateutil` requires `six>=1.5`, but it's not installed"],
            "its lock lacks six>=1.5, which dateutil needs.",
            "images add",
        ),
    ],
)
def test_a_known_cause_is_said_in_words_with_what_helps(step: list[str], why: str, advice: str) -> None:
    failure = build_failure.explained(output(*step))
    assert failure.cause == why
    assert advice in failure.advice


def test_a_step_that_was_killed() -> None:
    killed = output(solved=PROCESS.replace("code: 1", "code: 137"))
    assert "memory" in build_failure.explained(killed).cause


def test_what_failed_outside_of_a_step() -> None:
    said = ["#1 DONE 0.1s", "ERROR: failed to solve: failed to copy: write /data: no space left on device"]
    assert build_failure.is_full(build_failure.explained(said).cause)
    assert build_failure.explained(["ERROR: no builder found", ""]).cause == "ERROR: no builder found"
    assert build_failure.explained([]).cause == "no output"
    bridge = PROCESS.replace("exit code: 1", "network bridge not found")
    assert build_failure.explained(output(solved=bridge)).cause == "network bridge not found"


def test_the_end_of_the_log_is_that_of_the_step() -> None:
    many = [f"0.{number} line {number}" for number in range(30)]
    assert build_failure.end(output(*many)) == [f"line {number}" for number in range(20, 30)]
    assert build_failure.end(["#1 DONE 0.1s", "", "ERROR: no builder found"]) == [
        "#1 DONE 0.1s", "ERROR: no builder found",
    ]  # fmt: skip
