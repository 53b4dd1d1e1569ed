"""How exact float32 is in a run: a framework may take its products and convolutions as TF32."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gpu_check.record import Finding

_Array = NDArray[np.float32]
Operation = Callable[[_Array, _Array], _Array]
_EXPLANATION = "float32 stays below 1e-5; above 1e-4 it was computed in TF32"


def find(product: Operation, convolution: Operation, by: str) -> Iterator[Finding]:
    """The largest errors, as parts of the largest number; before anything changes the framework's settings.

    The convolution is of pixels (N, H, W, C) and a kernel (H, W, C, filters), without padding.
    """
    numbers = np.random.default_rng(0)
    matrix = numbers.standard_normal((256, 256), np.float32)
    exact = matrix.astype(np.float64) @ matrix.astype(np.float64)
    yield _error("matrix product", product(matrix, matrix), exact, by)
    pixels = numbers.standard_normal((8, 16, 16, 32), np.float32)
    kernel = numbers.standard_normal((3, 3, 32, 32), np.float32)
    windows = sliding_window_view(pixels.astype(np.float64), (3, 3), axis=(1, 2))  # N, H, W, C, 3, 3
    exact = np.einsum("nhwcij,ijcf->nhwf", windows, kernel.astype(np.float64))
    yield _error("convolution", convolution(pixels, kernel), exact, by)


def _error(what: str, result: _Array, exact: NDArray[np.float64], by: str) -> Finding:
    error = float(np.abs(result - exact).max() / np.abs(exact).max())
    return Finding(f"relative error of a float32 {what} in a run", error, by=by, said=_EXPLANATION)
