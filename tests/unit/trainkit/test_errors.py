import os
import subprocess
import sys

import pytest
from trainer.errors import GpuOutOfMemory
from trainkit import accelerator
from trainkit.errors import InputError, did_you_mean

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


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["--epochs"], "Did you mean --epochs?"),
        (["data/größe.csv"], "Did you mean data/größe.csv?"),
        (["ist weg?"], "Did you mean 'ist weg?'?"),
        (["weg?", "der Weg", "weg"], "Did you mean 'weg?' or 'der Weg' or weg?"),
    ],
)
def test_a_name_whose_end_could_be_overlooked_is_quoted(names: list[str], said: str) -> None:
    assert did_you_mean(*names) == said


def test_what_a_user_can_fix_is_two_lines_and_no_traceback() -> None:
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


FULL = {
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which "
    "1.20 GiB is free. Including non-PyTorch memory, this process has 77.90 GiB memory in use.":
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call":
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`":
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "Graph execution error:\n\nDetected at node x\n"
    "OOM when allocating tensor with shape[8,9] and type float on "
    "/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc\n\t [[{{node x}}]]":
    "OOM when allocating tensor with shape[8,9] and type float on "
    "/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc",
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4398046511104 bytes.":
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4398046511104 bytes",
}  # fmt: skip


@pytest.mark.parametrize(("said", "shown"), FULL.items())
def test_a_gpu_out_of_memory_is_two_lines_and_an_exit_code_of_its_own(said: str, shown: str) -> None:
    done = run(f"RuntimeError({said!r})")
    assert done.returncode == GpuOutOfMemory.exit_code
    assert done.stderr == (
        f"Error: The GPU is out of memory: {shown}.\n"
        "Hint:  Use a smaller batch or mixed precision. "
        "nvidia-smi shows what else uses the GPU.\n"
    )


@pytest.mark.parametrize(
    "error",
    [
        "MemoryError('Unable to allocate 8.00 GiB for an array with shape (1, 2) and data type float64')",
        "RuntimeError('OOM when allocating tensor with shape[8,9] and type float on "
        "/job:localhost/replica:0/task:0/device:CPU:0 by allocator cpu')",
        "RuntimeError('RESOURCE_EXHAUSTED: the quota of the API')",
    ],
)
def test_what_is_not_the_gpus_memory_keeps_its_traceback_and_code(error: str) -> None:
    done = run(error)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


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
