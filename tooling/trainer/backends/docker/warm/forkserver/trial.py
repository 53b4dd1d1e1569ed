"""What a forked process becomes: `python SCRIPT …`."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import os
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from trainkit import run_environment

Hook = Callable[[type[BaseException], BaseException, "types.TracebackType | None"], object]
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that the forkserver has handlers for."""
MEANWHILE = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1", "CUDA_VISIBLE_DEVICES": ""}
"""Variables with which PyTorch counts GPUs without CUDA, and nothing that is imported finds one."""
_KILLED_FIRST = "300"


class Order(NamedTuple):
    """What a forked process becomes."""

    script: str
    arguments: list[str]
    environment: dict[str, str]


def become(order: Order, output: Path) -> Path:
    """In the forked process: all is as when `python SCRIPT …` begins. Returns the path of the script."""
    os.setsid()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_KILLED_FIRST)  # and not what forks the next
    for name in MEANWHILE:
        os.environ.pop(name, None)
    # Before anything else is done: what looks for a GPU looks there.
    os.environ.update(order.environment)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    status = os.fstat(1)
    os.environ[run_environment.OUTPUT] = f"{status.st_dev}:{status.st_ino}"
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    if live := sys.modules.get("trainkit.live"):
        importlib.reload(live)  # it is of the process that it was imported in
    if random := sys.modules.get("numpy.random"):
        random.seed()  # Python's own is seeded by a fork, and NumPy's is the parent's
    path = Path(order.script).resolve()
    sys.argv = [order.script, *order.arguments]
    sys.orig_argv = [sys.executable, *sys.argv]
    sys.path.insert(0, str(path.parent))
    return path


def as_main(path: Path) -> types.ModuleType:
    """The module `__main__` of a script, as Python makes it."""
    main = types.ModuleType("__main__")
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", str(path))
    builtins = sys.modules["builtins"]
    vars(main).update({"__file__": str(path), "__cached__": None, "__builtins__": builtins})
    return main


def code_of(path: Path) -> types.CodeType:
    """The script, compiled as Python does it."""
    return compile(path.read_bytes(), path, "exec", dont_inherit=True)


def without_first_frame(hook: Hook) -> Hook:
    """A `sys.excepthook` that leaves out where this module has called the script."""

    def shown(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
        trace = trace.tb_next if trace else None
        hook(kind, error.with_traceback(trace), trace)

    return shown
