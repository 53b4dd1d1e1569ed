"""Imports without looking through old objects for garbage, from the start of every Python of an image.

Imports make hundreds of thousands of objects that stay, and Python's search for garbage goes through them
again and again: a fifth of the time that importing scikit-learn or TensorFlow takes. So until the imports are
over only new objects are searched. They are over when a search begins that no import is waiting for: then
all is as Python has it.
"""

import gc
import sys
from types import FrameType

_USUAL = gc.get_threshold()
# Young objects are searched as often as ever, so that what a training drops is not kept for longer.
_MEANWHILE = (_USUAL[0], 1_000_000, *_USUAL[2:])
_OF_IMPORTS = {"<frozen importlib._bootstrap>", "<frozen site>"}
# TensorFlow's imports come to 1,200. A training that is itself imported must not leave its garbage for good.
_MOST_SEARCHES = 3000

_searches = 0


def _until_imported(phase: str, _info: dict[str, int]) -> None:
    global _searches
    _searches += phase == "start"
    if _searches <= _MOST_SEARCHES and _is_importing(sys._getframe()):
        return
    gc.callbacks.remove(_until_imported)
    if gc.get_threshold() == _MEANWHILE:  # else the script has its own
        gc.set_threshold(*_USUAL)


def _is_importing(frame: FrameType | None) -> bool:
    while frame:
        if frame.f_code.co_filename in _OF_IMPORTS:
            return True
        frame = frame.f_back
    return False


def postpone_search() -> None:
    """Have only new objects searched until the imports are over. A second call does nothing."""
    if _until_imported in gc.callbacks:
        return  # a folder of packages may be on the path by two names
    gc.callbacks.append(_until_imported)
    gc.set_threshold(*_MEANWHILE)
