"""What a user can mend: raised anywhere in trainkit, shown as two lines instead of a traceback."""

import sys
from types import TracebackType


class InputError(Exception):
    """Data or arguments that cannot be. `message` says what is wrong, `hint` what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def show_input_errors() -> None:
    """From now on an uncaught `InputError` ends the script with two lines on stderr and exit code 1."""
    previous = sys.excepthook

    def hook(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
        if isinstance(problem, InputError):
            print(f"Error: {problem.message}\nHint:  {problem.hint}", file=sys.stderr, flush=True)
        else:
            previous(kind, problem, trace)

    sys.excepthook = hook
