import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from trainer.errors import GpuError
from trainer.host import gpu
from trainer.host.gpu import Card, FrameworkBuild

from unit.helpers import fails

H200 = Card("0", "NVIDIA H200", "570.124.06", (9, 0), 143000, 143771)
K80 = Card("1", "Tesla K80", "470.256.02", (3, 7), 11000, 11441)
TENSORFLOW = FrameworkBuild("TensorFlow 2.21.0", "12.5.1", ("sm_60", "sm_70", "sm_80", "sm_89", "compute_90"))
PYTORCH = FrameworkBuild("PyTorch 2.15.0+cu132", "13.2", ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120"))
NO_CUDA = FrameworkBuild("TensorFlow 2.21.0", None, ())


def test_the_answer_of_nvidia_smi_is_read() -> None:
    answer = "0, NVIDIA H200, 570.124.06, 9.0, 143000, 143771\n1, Tesla K80, 470.256.02, 3.7, 11000, 11441\n"
    assert gpu.cards(answer) == (H200, K80)


@pytest.mark.parametrize("answer", ["0, NVIDIA H200, 570.124.06, 9.0, [N/A], 143771", "0, x", "Unable to …"])
def test_an_invalid_answer_is_reported(answer: str) -> None:
    with fails(GpuError, f"nvidia-smi answers {answer!r}, which is invalid."):
        gpu.cards(answer)


def test_no_card_at_all() -> None:
    with fails(GpuError, "nvidia-smi finds no GPU."):
        gpu.cards("\n")


def test_a_machine_that_suits_the_image() -> None:
    gpu.check("trainer/tensorflow-gpu", [TENSORFLOW], [H200], least_free_gb=2)


def test_a_driver_that_is_too_old_for_the_images_cuda() -> None:
    with fails(
        GpuError,
        "The NVIDIA driver is 570.124.06; the CUDA 13.2 of trainer/pytorch needs 580.65.06 at least.",
        "Update the driver, or pass --gpus none to run on the CPU.",
    ):
        gpu.check("trainer/pytorch", [PYTORCH], [H200], least_free_gb=2)


@pytest.mark.parametrize(
    ("cuda", "driver", "fits"),
    [
        ("12.9", "525.60.13", True),
        ("12.9", "525.60.12", False),
        ("13.0", "580.65.06", True),
        ("11.8", "450.80.02", True),
        ("14.1", "579.99", False),
        ("14.1", "600.1", True),
    ],
)
def test_drivers_are_compared_number_by_number(cuda: str, driver: str, fits: bool) -> None:
    card, built = replace(H200, driver=driver), replace(TENSORFLOW, cuda=cuda)
    if fits:
        gpu.check("image", [built], [card], least_free_gb=0)
    else:
        with pytest.raises(GpuError, match=f"driver is {driver}; the CUDA {cuda} of image needs"):
            gpu.check("image", [built], [card], least_free_gb=0)


@pytest.mark.parametrize(
    ("architectures", "capability", "fits"),
    [
        (("sm_80",), (8, 0), True),
        (("sm_80",), (8, 9), True),  # machine code runs on later revisions of its generation
        (("sm_86",), (8, 0), False),
        (("sm_80",), (9, 0), False),  # but not on the next generation
        (("compute_80",), (9, 0), True),  # which can translate PTX
        (("compute_90",), (8, 9), False),
        (("sm_90a",), (9, 0), True),
        (("sm_100a",), (10, 3), False),
        (("sm_120",), (12, 0), True),
        (("something",), (9, 0), False),
        ((), (9, 0), False),
    ],
)
def test_which_cards_an_architecture_runs_on(
    architectures: tuple[str, ...], capability: tuple[int, int], fits: bool
) -> None:
    card, built = replace(H200, capability=capability), replace(TENSORFLOW, architectures=architectures)
    if fits:
        gpu.check("image", [built], [card], least_free_gb=0)
    else:
        with pytest.raises(GpuError, match="has compute capability"):
            gpu.check("image", [built], [card], least_free_gb=0)


def test_a_card_that_the_framework_was_not_built_for_is_named_with_what_it_was_built_for() -> None:
    with fails(
        GpuError,
        "GPU 1 (Tesla K80) has compute capability 3.7; TensorFlow 2.21.0 was built for sm_60, sm_70, sm_80, "
        "sm_89, compute_90.",
    ):
        gpu.check("image", [TENSORFLOW], [H200, replace(K80, driver="570.1")], least_free_gb=0)


def test_a_framework_that_does_not_say_which_cards_it_was_built_for_is_judged_by_its_driver(
    tmp_path: Path,
) -> None:
    said = '[{"framework": "JAX 0.10.2", "cuda": "13", "architectures": null}]'
    for _ in ("asked", "remembered"):
        built = gpu.built_for(tmp_path / "jax.json", lambda: said)
        assert built == [FrameworkBuild("JAX 0.10.2", "13", None)]
    gpu.check("image", built, [replace(H200, driver="580.65.06")], least_free_gb=0)
    with pytest.raises(GpuError, match="the CUDA 13 of image needs"):
        gpu.check("image", built, [replace(H200, driver="570.1")], least_free_gb=0)


def test_a_card_whose_memory_is_taken() -> None:
    with fails(GpuError, "GPU 0 (NVIDIA H200) has 1.0 of 140.4 GB free; 2 GB are asked for."):
        gpu.check("image", [TENSORFLOW], [replace(H200, free=1024)], least_free_gb=2)


@pytest.mark.parametrize("built", [[], [NO_CUDA]])
def test_an_image_without_cuda(built: list[FrameworkBuild]) -> None:
    with pytest.raises(GpuError, match="The image trainer/sklearn has nothing in it that uses a GPU") as told:
        gpu.check("trainer/sklearn", built, [H200], least_free_gb=0)
    assert "--image gpu" in told.value.hint
    assert "--gpus none" in told.value.hint


def test_launches_that_ask_at_once_what_an_image_was_built_for_do_not_disturb_each_other(
    tmp_path: Path,
) -> None:
    for number in range(20):
        at_once = threading.Barrier(8)

        def ask(at_once: threading.Barrier = at_once) -> str:
            at_once.wait()
            return '[{"framework": "JAX 0.10.2", "cuda": "13", "architectures": null}]'

        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(gpu.built_for, tmp_path / f"{number}.json", ask) for _ in range(8)]
        assert len({str(each.result()) for each in asked}) == 1
    assert len(list(tmp_path.iterdir())) == 20
