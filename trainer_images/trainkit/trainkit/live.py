"""What a run is doing, for the live line of `trainer run`.

It goes between the lines of the run's output, and `trainer` takes it out again: a log has a line a minute of
it, at most. Where nobody takes it out, in a script that was started by hand or whose output goes to a file of
its own, nothing is written. Every Python of an image starts with this module, so it imports little.
"""

import os
import sys
import time
from _thread import get_ident

from trainkit import run_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import TypeVar

    T = TypeVar("T")

START, END = b"\x1b]trainer;", b"\x1b\\\n"
"""An escape sequence that terminals ignore. It ends its line: engines hand on whole lines."""
BETWEEN = "\t"
_LONGEST = 120
_EVERY_S = 1.0
_STDOUT = 1
_NAMES = {
    "jax": "JAX",
    "keras": "Keras",
    "mlflow": "MLflow",
    "sklearn": "scikit-learn",
    "tensorflow": "TensorFlow",
    "torch": "PyTorch",
}


def _leads_to_the_output() -> bool:
    """As systemd's JOURNAL_STREAM: the variable says which file the output of the run is.

    It is removed: what this process starts has no line of its own.
    """
    output = os.environ.pop(run_environment.OUTPUT, "")
    try:
        status = os.fstat(_STDOUT)
    except OSError:
        return False
    return output == f"{status.st_dev}:{status.st_ino}"


_thread = get_ident()
_process = os.getpid() if _leads_to_the_output() else None
_steps: "list[str]" = []


def show(step: str, count: str = "") -> None:
    """Say what is being done now, such as `fit`, and how far it is, such as `epoch 3/10`; "" for nothing."""
    if os.getpid() != _process:
        return
    text = BETWEEN.join("".join(filter(str.isprintable, part))[:_LONGEST] for part in (step, count))
    try:  # contextlib is slow to import
        os.write(_STDOUT, START + f"{time.time():.0f};{text}".encode(errors="replace") + END)
    except OSError:  # the output is closed, as the script's own prints will say
        return


def doing(step: str) -> "_Doing":
    """Within: that is what the run is doing. Blocks may be nested."""
    return _Doing(step)


class _Doing:
    """A context manager without contextlib, which is slow to import. Only the first thread has a say."""

    def __init__(self, step: str) -> None:
        self._step = step

    def __enter__(self) -> None:
        if get_ident() == _thread:
            _steps.append(self._step)
            show(self._step)

    def __exit__(self, *_: object) -> None:
        if get_ident() == _thread:
            _steps.pop()
            show(_steps[-1] if _steps else "")


def count(text: str) -> None:
    """Say how far the step is that the run is doing."""
    show(_steps[-1] if _steps else "", text)


def counted(items: "Iterable[T]", total: int, unit: str) -> "Iterator[T]":
    """The items, one after another; how many of the total there were is said once a second."""
    said = time.monotonic()
    for number, item in enumerate(items):
        if time.monotonic() - said > _EVERY_S:
            said = time.monotonic()
            count(f"{number}/{total} {unit}")
        yield item


class Epochs:
    """How far a training is: epoch, step, rate and the time that is left if it takes all of its epochs."""

    def __init__(self, last: int) -> None:
        self._last = last
        self._epoch = self._steps = self._number = self._done = 0
        self._first: float | None = None
        self._said = self._epoch_began = 0.0

    def begin(self, epoch: int, steps: int) -> None:
        """An epoch of that number, from 1, begins; it has so many steps."""
        self._done += self._number
        self._epoch, self._steps, self._number = epoch, steps, 0
        self._epoch_began = time.monotonic()
        self._say(f"epoch {epoch}/{self._last}")

    def step(self, number: int) -> None:
        """So many steps of the epoch are done. Any thread may say so, and they may come out of order."""
        now = time.monotonic()
        self._number = max(number, self._number)
        if self._first is None:  # the step that compiles
            self._first, self._done = now, 1 - number
        if now - self._said < _EVERY_S or number < self._number:
            return
        rate = number / (now - self._epoch_began)
        words = [f"epoch {self._epoch}/{self._last}", f"{number}/{self._steps} steps"]
        words.append(f"{rate:.1f}/s" if rate < 100 else f"{rate:.0f}/s")
        done = self._done + number - 1  # since the first one
        if done > 0:
            left = self._steps * (self._last - self._epoch + 1) - number
            words.append(f"{_duration(left * (now - self._first) / done)} left")
        self._say("  ".join(words))

    def validate(self) -> None:
        """The steps of the epoch are done, and it is validated."""
        self._say(f"epoch {self._epoch}/{self._last}  validation")

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        count(text)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Imports:
    """Finds the frameworks as Python does, and shows each while it is imported."""

    def __init__(self) -> None:
        self._is_asking = False

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> "ModuleSpec | None":
        """Called by Python for every module that is imported."""
        if name not in _NAMES or self._is_asking:
            return None
        from importlib.util import find_spec

        self._is_asking = True
        try:
            spec = find_spec(name)
        finally:
            self._is_asking = False
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def execute_and_show(module: "ModuleType") -> None:
                with doing(f"importing {_NAMES[name]}"):
                    execute(module)

            spec.loader.exec_module = execute_and_show  # type: ignore[method-assign]
        return spec


def watch_imports() -> None:
    """Show which framework is imported. A second call does nothing."""
    if _process is not None and not any(isinstance(finder, _Imports) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Imports())
