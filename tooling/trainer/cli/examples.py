"""The examples at the end of a command's help."""

_NOT_WRAPPED = "\b\n"  # as click reads it


def examples(*commands: str) -> str:
    """The epilog of a command: each of the examples on a line of its own."""
    heading = "Examples:" if len(commands) > 1 else "Example:"
    return _NOT_WRAPPED + "\n  ".join((heading, *commands))
