"""Why a build failed, of what BuildKit printed."""

import pytest
from trainer.images import build_failure

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


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (["1.2 error: failed", f"1.2   Caused by: {FULL} (os error 28)"], f"Caused by: {FULL} (os error 28)"),
        ([f"0.3 tar: write error: {FULL}", "0.4 tar: exiting now"], f"tar: write error: {FULL}"),
        (["2.0   x No solution", "2.0   ╰─▶ Because there is no x."], "Because there is no x."),
        (["0.5 E: Unable to locate package libnone"], "E: Unable to locate package libnone"),
        (["0.5 error: no such file", "0.6 hint: is it there?", ""], "error: no such file"),
    ],
)
def test_it_is_what_the_step_said_last(step: list[str], why: str) -> None:
    assert build_failure.cause(output(*step)) == why


def test_a_step_that_said_nothing_is_not_repeated() -> None:
    assert build_failure.cause(output()) == "exit code: 1"
    bridge = PROCESS.replace("exit code: 1", "network bridge not found")
    assert build_failure.cause(output(solved=bridge)) == "network bridge not found"


def test_what_failed_outside_of_a_step() -> None:
    said = ["#1 DONE 0.1s", "ERROR: failed to solve: failed to copy: write /data: no space left on device"]
    assert build_failure.cause(said) == "failed to copy: write /data: no space left on device"
    assert build_failure.is_full(build_failure.cause(said))
    assert build_failure.cause(["ERROR: no builder found", ""]) == "ERROR: no builder found"
    assert build_failure.cause([]) == "no output"
