"""What the card reaches in products of large matrices, which is not what its data sheet says."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from gpu_check import matrices
from gpu_check.record import Finding
from gpu_check.setting import Setting

TF32 = {"float32": False, "TF32": True}
"""What `allow_tf32` takes for a precision; other precisions leave it as it is by default."""
PRECISIONS = {
    "float32": torch.float32,
    "TF32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def find(setting: Setting) -> Iterator[Finding]:
    """Of each precision."""
    edge = matrices.size(setting)
    for name in PRECISIONS:
        if name == "TF32" and not setting.card:
            yield Finding("matrix product, TF32", outcome="no GPU here", by="torch")
            continue
        yield Finding(
            f"matrix product, {name}", operations_a_second(name, setting) / 1e12, "TFLOP/s", by="torch",
            said=f"{edge} x {edge}, normally distributed, mean of {matrices.TIMES}",
        )  # fmt: skip


def operations_a_second(precision: str, setting: Setting) -> float:
    """Of one product after another."""
    device = "cuda" if setting.card else "cpu"
    edge = matrices.size(setting)
    allow_tf32(TF32.get(precision))
    matrix = torch.randn(edge, edge, device=device).to(PRECISIONS[precision])

    def product() -> None:
        matrix @ matrix

    return matrices.operations_a_second(product, lambda: wait(device), setting)


_DEFAULTS = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
"""What a run has, as long as nothing here has changed it."""


def allow_tf32(allowed: bool | None) -> None:
    """Whether float32 products and convolutions may be taken as TF32; None: as PyTorch has it by default."""
    products, convolutions = _DEFAULTS if allowed is None else (allowed, allowed)
    torch.backends.cuda.matmul.allow_tf32 = products
    torch.backends.cudnn.allow_tf32 = convolutions


def wait(device: str) -> None:
    """Until the device has done all that it was told."""
    if device == "cuda":
        torch.cuda.synchronize()
