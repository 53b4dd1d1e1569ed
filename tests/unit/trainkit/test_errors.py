import os
import subprocess
import sys

import pytest
from trainkit import accelerator
from trainkit.errors import InputError

SCRIPT = """
from trainkit.errors import InputError, show_input_errors
show_input_errors()
raise {}
"""


def run(raised: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(raised)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )


def test_what_a_user_can_mend_is_two_lines_and_no_traceback() -> None:
    done = run("InputError('The class x is empty.', 'Fill it.')")
    assert done.returncode == 1
    assert done.stderr == "Error: The class x is empty.\nHint:  Fill it.\n"


def test_a_bug_keeps_its_traceback() -> None:
    done = run("ValueError('a bug')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


# As the frameworks say it; TensorFlow does so somewhere in its traceback of a graph.
NOT_REPEATABLE = {
    "put_ does not have a deterministic implementation, but you set 'torch.use_deterministic_algorithms(1)'. "
    "You can turn off determinism just for this operation.":
    "put_ does not have a deterministic implementation, but you set 'torch.use_deterministic_algorithms(1)'.",
    "Graph execution error:\n\nDetected at node Sum\nA deterministic GPU implementation of Sum is not yet "
    "available.\n\t [[{{node Sum}}]]":
    "A deterministic GPU implementation of Sum is not yet available.",
    "Random ops require a seed to be set when determinism is enabled. Please set a seed":
    "Random ops require a seed to be set when determinism is enabled.",
    "Determinism is not for this op": "Determinism is not for this op",
}  # fmt: skip


@pytest.mark.parametrize(("said", "shown"), NOT_REPEATABLE.items())
def test_what_a_framework_cannot_repeat_is_two_lines_in_a_deterministic_run(said: str, shown: str) -> None:
    raised = f"RuntimeError({said!r})"
    done = run(raised, TRAINER_DETERMINISTIC="1")
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: {shown}\nHint:  Do without that operation (another layer, loss or option), "
        "or run it with --no-deterministic.\n"
    )
    assert "Traceback" in run(raised).stderr
    assert "Traceback" in run("RuntimeError('a bug')", TRAINER_DETERMINISTIC="1").stderr


@pytest.mark.parametrize(("asked", "seen"), [(None, 0), ("none", 0), ("all", 1), ("device=0", 1)])
def test_a_run_that_sees_what_it_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, seen: int
) -> None:
    monkeypatch.delenv("TRAINER_GPUS", raising=False)
    if asked:
        monkeypatch.setenv("TRAINER_GPUS", asked)
    accelerator.require_gpus("TensorFlow", seen)


@pytest.mark.parametrize("asked", ["all", "2", "device=0"])
def test_a_run_that_asked_for_gpus_and_sees_none_stops(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setenv("TRAINER_GPUS", asked)
    with pytest.raises(
        InputError, match=f"TensorFlow sees no GPU, but the run was started with --gpus {asked}"
    ):
        accelerator.require_gpus("TensorFlow", 0)
