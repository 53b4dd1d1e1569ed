"""What a user can fix: raised anywhere in trainkit, shown as two lines instead of a traceback."""

import re
import shlex
import sys
from types import TracebackType

from trainkit import gpu_memory


class InputError(Exception):
    """Data or arguments that cannot be. `message` says what is wrong, `hint` what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def did_you_mean(*names: str) -> str:
    """A hint at the names that were probably meant, quoted where that shows where one ends."""
    return f"Did you mean {' or '.join(map(_shown, names))}?"


def _shown(name: str) -> str:
    return name if re.fullmatch(r"[\w@%+=:,./-]+", name) else shlex.quote(name)


def show_input_errors() -> None:
    """From now on an uncaught `InputError` ends the script with two lines on stderr and exit code 1.

    So does what a framework raises in a deterministic run at an operation that is not repeatable, and, with
    exit code `gpu_memory.EXIT_CODE`, a GPU that is out of memory.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if reason := gpu_memory.exhausted(error):
            hint = "Use a smaller batch or mixed precision. nvidia-smi shows what else uses the GPU."
            _show(InputError(f"The GPU is out of memory: {reason}.", hint))
            sys.exit(gpu_memory.EXIT_CODE)
        if input_error := error if isinstance(error, InputError) else _not_repeatable(error):
            _show(input_error)
        else:
            previous(kind, error, trace)

    sys.excepthook = hook


def _show(error: InputError) -> None:
    print(f"Error: {error.message}\nHint:  {error.hint}", file=sys.stderr, flush=True)


def _not_repeatable(error: BaseException) -> InputError | None:
    from trainkit.seeding import is_deterministic

    # Each framework has words of its own, some in the midst of a graph's traceback; they share this one.
    match = re.search(r"^.*?determinis.*?(?:\.(?=\s)|$)", str(error), re.IGNORECASE | re.MULTILINE)
    if not (match and is_deterministic()):
        return None
    return InputError(
        match.group().strip(),
        "Do without that operation (another layer, loss or option), or run it with --no-deterministic.",
    )
