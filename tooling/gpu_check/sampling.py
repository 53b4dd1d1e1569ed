"""How busy the card is over time, and how much of its memory is taken, as NVML says."""

from __future__ import annotations

import os
import threading
from types import TracebackType

_EVERY_S = 0.1


class Use:
    """Samples while its block runs. `busy` is in percent, `memory` in MB; `error` is why there are none."""

    def __init__(self) -> None:
        self.busy: list[float] = []
        self.memory: list[float] = []
        self.error = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Use:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        import pynvml

        try:
            pynvml.nvmlInit()
            card = _first_device()
            while not self._stop.wait(_EVERY_S):
                self.busy.append(float(pynvml.nvmlDeviceGetUtilizationRates(card).gpu))
                self.memory.append(pynvml.nvmlDeviceGetMemoryInfo(card).used / 1e6)
        except pynvml.NVMLError as error:  # on a MIG device it knows no utilization
            self.error = f"NVML: {error}"


def _first_device() -> object:
    """The device that CUDA calls its first."""
    import pynvml

    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
    if first.startswith(("GPU-", "MIG-")):
        return pynvml.nvmlDeviceGetHandleByUUID(first)
    return pynvml.nvmlDeviceGetHandleByIndex(int(first) if first.isdecimal() else 0)
