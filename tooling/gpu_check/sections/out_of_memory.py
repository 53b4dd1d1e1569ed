"""More than a card has: the error and the exit code that a script with trainkit ends with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from trainkit import gpu_memory

from gpu_check.record import Finding, checked, no_card
from gpu_check.setting import Setting

_SCRIPT = """
from trainkit.errors import show_input_errors
show_input_errors()
{}
"""
# 64 TiB each.
_ASKS = {
    "PyTorch": "import torch; torch.empty(2**46, dtype=torch.uint8, device='{device}')",
    "JAX": "import jax; jax.numpy.ones(2**46, dtype='uint8').block_until_ready()",
}


def find(setting: Setting) -> Iterator[Finding]:
    """On the card its own exit code; on the CPU, which is none, that of any other error."""
    device, code = ("cuda", gpu_memory.EXIT_CODE) if setting.card else ("cpu", 1)
    for framework, ask in _ASKS.items():
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT.format(ask.format(device=device))], cwd=setting.place,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        lines = done.stderr.strip().splitlines() or [""]
        label = f"out of memory on the {'GPU' if setting.card else 'CPU'} ends with exit code {code}"
        reason = next((line for line in lines if "Error:" in line), lines[-1])[:300]
        yield checked(label, done.returncode == code, f"{done.returncode}: {reason}", by=framework)
        if not setting.card:
            yield no_card(
                f"out of memory on the GPU ends with exit code {gpu_memory.EXIT_CODE}", by=framework
            )
