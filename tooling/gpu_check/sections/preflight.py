"""The pre-flight, on what this machine's nvidia-smi answers and its PyTorch says of itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from trainer import subprocesses
from trainer.errors import GpuError
from trainer.host import gpu
from trainer.host.gpu import Card, FrameworkBuild

from gpu_check.record import Finding, checked, no_card
from gpu_check.setting import Setting


def find(setting: Setting) -> Iterator[Finding]:
    """The good case, and each that is to be refused."""
    built = _built(setting.place)
    able = [build for build in built if build.cuda]
    for build in built:
        built_for = "architectures unknown" if build.architectures is None else " ".join(build.architectures)
        cuda = f"CUDA {build.cuda}: {built_for}" if build.cuda else "without CUDA"
        yield Finding("trainkit.accelerator", cuda, by=build.framework)
    answer = subprocesses.capture(gpu.QUERY)
    if answer is None or not setting.card:
        for label in ("good case", "too little free memory", "too old a driver", "another architecture"):
            yield no_card(f"pre-flight: {label}")
        return
    cards = gpu.cards(answer)
    yield Finding("nvidia-smi answers", "; ".join(answer.strip().splitlines()))
    yield checked("pre-flight: good case", *_outcome(able, cards, 2.0, refused=False))
    more = cards[0].total / 1024 + 1
    yield checked("pre-flight: too little free memory", *_outcome(able, cards, more, refused=True))
    old = [replace(card, driver="1.0") for card in cards]
    yield checked("pre-flight: too old a driver", *_outcome(able, old, 0, refused=True))
    other = [replace(build, architectures=("sm_10",)) for build in able]
    yield checked("pre-flight: another architecture", *_outcome(other, cards, 0, refused=True))


def _built(folder: Path) -> list[FrameworkBuild]:
    asking = [sys.executable, *gpu.BUILT_FOR[1:]]
    return gpu.built_for(folder / "built.json", lambda: subprocesses.capture(asking) or "[]")


def _outcome(
    built: Sequence[FrameworkBuild], cards: Sequence[Card], free: float, *, refused: bool
) -> tuple[bool, str]:
    """Whether it was refused as it should be, and with what words."""
    try:
        gpu.check("this environment", built, cards, free)
    except GpuError as error:
        return refused, str(error)
    return not refused, ""
