"""Whether a machine's GPUs and driver suit what an image was built for. Told before a run exists."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trainer.errors import GpuError

QUERY = (
    "nvidia-smi",
    "--query-gpu=index,name,driver_version,compute_cap,memory.free,memory.total",
    "--format=csv,noheader,nounits",
)
# What an image is asked for its frameworks' own words, as JSON.
BUILT_FOR = ("python", "-m", "trainkit.accelerator")
ON_PURPOSE = "or pass --gpus none to run on the CPU."
# The oldest Linux driver for each CUDA generation, from the "CUDA Toolkit Release Notes", table
# "CUDA Toolkit and Minimum Required Driver Version for CUDA Minor Version Compatibility".
_OLDEST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}


@dataclass(frozen=True)
class Card:
    """A GPU as nvidia-smi sees it; memory in MiB."""

    index: str
    name: str
    driver: str
    capability: tuple[int, int]
    free: int
    total: int

    def __str__(self) -> str:
        """Its number and name."""
        return f"{self.index} ({self.name})"


@dataclass(frozen=True)
class FrameworkBuild:
    """What a framework says of itself: see trainkit.accelerator, which the image is asked with.

    `architectures` is None where the framework, such as JAX, does not say.
    """

    framework: str
    cuda: str | None
    architectures: tuple[str, ...] | None


def built_for(remembered: Path, ask: Callable[[], str]) -> list[FrameworkBuild]:
    """What an image's frameworks were built for. Asking takes seconds, so the answer is kept in a file."""
    if not remembered.exists():
        requirements = _read(ask())
        remembered.parent.mkdir(parents=True, exist_ok=True)
        # Under a name of its own: several launches may find that it is not there.
        with tempfile.NamedTemporaryFile("w", dir=remembered.parent, delete=False) as unfinished:
            unfinished.write(json.dumps([asdict(item) for item in requirements]))
        Path(unfinished.name).replace(remembered)
    return _read(remembered.read_text())


def cards(answer: str) -> tuple[Card, ...]:
    """The answer to `QUERY`. Raises `GpuError` for one that is invalid, and for none at all."""
    found_cards = []
    for line in answer.strip().splitlines():
        fields = [field.strip() for field in line.split(",")]
        try:
            index, name, driver, capability, free, total = fields
            major, minor = capability.split(".")
            found_cards.append(Card(index, name, driver, (int(major), int(minor)), int(free), int(total)))
        except ValueError:
            raise GpuError(
                f"nvidia-smi answers {line!r}, which is invalid.",
                f"Look at nvidia-smi itself: the driver may need a restart; {ON_PURPOSE}",
            ) from None
    if not found_cards:
        raise GpuError("nvidia-smi finds no GPU.", f"Look at the driver's installation, {ON_PURPOSE}")
    return tuple(found_cards)


def chosen(gpus: str, available: Sequence[Card], numbers: str | None) -> tuple[Card, ...]:
    """Those cards, by their numbers with commas, that `--gpus` asked for; None is for all.

    Raises `GpuError` where there is no card of such a number: CUDA would leave it out, and all after it.
    Where one is asked for by its UUID, all are returned: any of them may be meant.
    """
    if numbers is None or not re.fullmatch(r"[\d,]+", numbers):
        return tuple(available)
    requested = numbers.split(",")
    by_index = {card.index: card for card in available}
    if missing := [number for number in requested if number not in by_index]:
        raise GpuError(
            f"--gpus {gpus}: this machine has no GPU {', '.join(missing)}; it has {', '.join(by_index)}.",
            f"Choose of these (nvidia-smi -L lists them), {ON_PURPOSE}",
        )
    return tuple(by_index[number] for number in requested)


def check(image: str, built: Sequence[FrameworkBuild], cards: Sequence[Card], least_free_gb: float) -> None:
    """Raises `GpuError`, naming both sides and the remedy, for the first thing that does not fit."""
    able = [framework for framework in built if framework.cuda]
    if not able:
        raise no_cuda(image)
    for framework in able:
        for card in cards:
            _check_driver(image, framework, card)
            _check_capability(framework, card)
    for card in cards:
        if card.free < least_free_gb * 1024:
            raise GpuError(
                f"GPU {card} has {card.free / 1024:.1f} of {card.total / 1024:.1f} GB free; "
                f"{least_free_gb:g} GB are asked for.",
                "nvidia-smi shows who uses it. Wait, use another one (--gpus device=N), "
                "or lower gpu_free_gb in trainer.yaml.",
            )


def no_driver(gpus: str) -> GpuError:
    """The error for a GPU that is asked for on a machine whose nvidia-smi does not answer."""
    return GpuError(
        f"--gpus {gpus}: this machine has no usable NVIDIA GPU (nvidia-smi does not answer).",
        f"Install the driver, {ON_PURPOSE}",
    )


def no_cuda(image: str) -> GpuError:
    """The error for a GPU that is asked for in an image whose framework cannot use any."""
    return GpuError(
        f"The image {image} has nothing in it that uses a GPU.",
        f"Choose one that has: --image gpu for TensorFlow (`trainer images` lists them); {ON_PURPOSE}",
    )


def _read(text: str) -> list[FrameworkBuild]:
    requirements = []
    for item in json.loads(text):
        architectures = item["architectures"]
        requirements.append(
            FrameworkBuild(
                item["framework"], item["cuda"], None if architectures is None else tuple(architectures)
            )
        )
    return requirements


def _check_driver(image: str, built: FrameworkBuild, card: Card) -> None:
    major = int((built.cuda or "0").split(".")[0])
    # A generation that is newer than this table needs what the newest known one needs, at least.
    oldest = _OLDEST_DRIVER.get(major, _OLDEST_DRIVER[max(_OLDEST_DRIVER)] if major > 13 else "0")
    if _numbers(card.driver) < _numbers(oldest):
        raise GpuError(
            f"The NVIDIA driver is {card.driver}; the CUDA {built.cuda} of {image} needs {oldest} at least.",
            f"Update the driver, {ON_PURPOSE}",
        )


def _check_capability(built: FrameworkBuild, card: Card) -> None:
    architectures = built.architectures
    if architectures is not None and not any(
        _runs_on(architecture, card.capability) for architecture in architectures
    ):
        raise GpuError(
            f"GPU {card} has compute capability {card.capability[0]}.{card.capability[1]}; "
            f"{built.framework} was built for {', '.join(architectures)}.",
            f"Use another card (--gpus device=N) or an image with another version of it, {ON_PURPOSE}",
        )


def _runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    """Machine code runs on its own generation from its revision on; PTX on everything that is newer.

    "CUDA C++ Programming Guide", sections "Binary Compatibility" and "PTX Compatibility". A letter at the end
    (sm_90a) ties the code to that very capability.
    """
    match = re.fullmatch(r"(sm|compute)_(\d+)(\d)([a-z]?)", architecture)
    if not match:
        return False
    made_for = (int(match[2]), int(match[3]))
    if match[4]:
        return capability == made_for
    if match[1] == "compute":
        return capability >= made_for
    return capability[0] == made_for[0] and capability[1] >= made_for[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
