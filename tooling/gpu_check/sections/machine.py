"""What the machine is: its card and driver, and which frameworks see it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from bench.ratios import machine
from trainer import subprocesses

from gpu_check.page import GPU
from gpu_check.record import Finding, checked, no_card
from gpu_check.setting import Setting

_PACKAGES = ("torch", "torchvision", "jax", "jaxlib", "keras", "tensorflow", "transformers", "numpy",
             "onnxruntime", "mlflow", "trainer", "trainkit")  # fmt: skip
_OF_GPU = {
    "name": GPU, "driver_version": "driver", "compute_cap": "compute capability",
    "memory.total": "memory", "memory.free": "free memory", "mig.mode.current": "MIG",
    "power.limit": "power limit", "clocks.max.sm": "highest clock",
}  # fmt: skip


def find(setting: Setting) -> Iterator[Finding]:
    """The card first: it is what everything else depends on."""
    if setting.card:
        answer = subprocesses.capture(
            ["nvidia-smi", f"--query-gpu={','.join(_OF_GPU)}", "--format=csv,noheader"]
        )
        for line in (answer or "").splitlines():
            for label, value in zip(_OF_GPU.values(), line.split(","), strict=False):
                yield Finding(label, value.strip())
    else:
        yield no_card(GPU)
    for label, value in machine().items():
        if value:
            yield Finding(label, value)
    for package in _PACKAGES:
        try:
            yield Finding(package, version(package))
        except PackageNotFoundError:
            yield Finding(package, "not installed")
    yield from _seen(setting)


def _seen(setting: Setting) -> Iterator[Finding]:
    import torch

    yield Finding("CUDA of PyTorch", torch.version.cuda or "none")
    count = torch.cuda.device_count()
    yield (
        checked("PyTorch sees the GPU", count > 0, f"{count}")
        if setting.card
        else no_card("PyTorch sees the GPU")
    )
    import jax

    platforms = sorted({device.platform for device in jax.devices()})
    summary = ", ".join(platforms)
    yield (
        checked("JAX sees the GPU", "gpu" in platforms, summary)
        if setting.card
        else no_card("JAX sees the GPU")
    )
