"""Tells a GPU that is out of memory from other errors, by what the frameworks say."""

import re
import sys

EXIT_CODE = 94
"""What a script ends with whose GPU is out of memory. `trainer run` knows it."""

# PyTorch: "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …", "CUDA error: out of memory".
# TensorFlow: "OOM when allocating tensor with shape[8,9] and type float on /job:…/device:GPU:0 by …".
# XLA, in TensorFlow and JAX: "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 40000000 bytes."
_SAID = re.compile(
    r"^.*(?:(?:CUDA|HIP|XPU|MPS)(?: error:| backend)? out of memory|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED"
    r"|OOM when allocating tensor|Out of memory (?:while trying to allocate|allocating)).*$",
    re.MULTILINE,
)
_SENTENCES = re.compile(r"\.\s+(?=[A-Z])")


def exhausted(error: BaseException) -> str | None:
    """Return the framework's own words, at most two sentences, if a GPU is out of memory; else None."""
    match = _SAID.search(str(error))
    if not match or "device:CPU" in match.group():
        return None
    jax = sys.modules.get("jax")  # XLA says the same of a CPU
    if type(error).__module__.startswith("jax") and jax and jax.default_backend() == "cpu":
        return None
    return ". ".join(_SENTENCES.split(match.group().strip())[:2]).rstrip(".")
