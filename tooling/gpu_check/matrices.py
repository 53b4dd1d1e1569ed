"""Products of large matrices, by whatever framework."""

from __future__ import annotations

import time
from collections.abc import Callable

from gpu_check.setting import Setting

TIMES = 20
_WARM = 3


def size(setting: Setting) -> int:
    """Rows and columns of the matrices."""
    return 256 if setting.small else 8192


def operations_a_second(product: Callable[[], None], wait: Callable[[], None], setting: Setting) -> float:
    """Of one product after another; `wait` returns when the device has done all that it was told."""
    for _ in range(_WARM):
        product()
    wait()
    begun = time.perf_counter()
    for _ in range(TIMES):
        product()
    wait()
    return TIMES * 2 * size(setting) ** 3 / (time.perf_counter() - begun)
