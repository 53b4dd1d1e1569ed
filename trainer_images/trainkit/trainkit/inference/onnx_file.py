"""An ONNX file, opened with ONNX Runtime on the CPU."""

from pathlib import Path

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from trainkit.errors import InputError

LARGEST = 2 * 1024**3
"""Bytes of a file: more is no ONNX file, whose format ends there."""
ERRORS = tuple(
    kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)
)
"""What ONNX Runtime raises: its exceptions share no class."""
_FATAL = 4


def opened(path: Path, *, threads: int, largest: int = LARGEST) -> onnxruntime.InferenceSession:
    """The file, ready to answer, with so many threads for one batch.

    Raises `InputError` where it is missing, larger than `largest` bytes, no ONNX file, or one that keeps
    weights in files outside of its folder.
    """
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    if size is None:
        raise InputError(f"There is no file {path}.", "Check the path of the ONNX file.")
    if size > largest:
        raise InputError(
            f"{path} has {size:,} bytes, more than the {largest:,} that are allowed.", "Use a smaller model."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL  # errors are raised; the same on stderr would say them twice
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except ERRORS as error:
        raise _refusal(path, str(error)) from None


def _refusal(path: Path, reason: str) -> InputError:
    if "External data path" in reason:
        return InputError(
            f"{path} keeps weights in another file, which is missing or outside of its folder.",
            "Save the model as one file, or with its data beside it.",
        )
    # [ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from x.onnx failed:Protobuf parsing failed.
    words = reason.rpartition(" : ")[2].replace(f"Load model from {path} failed:", "").strip().rstrip(".")
    return InputError(f"{path} is no ONNX file that can be used: {words}.", "Export the model again.")
