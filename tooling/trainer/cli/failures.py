"""What is said of a failure: the message, the hint, and the exit code."""

from __future__ import annotations

import errno
import os
import re
import signal
from pathlib import Path

import click
from click.exceptions import NoSuchCommand
from trainkit.errors import InputError

from trainer.cli.commands import typed_path
from trainer.cli.context import global_option
from trainer.cli.other_names import ours
from trainer.errors import DiskFull, FileError, Interrupted, InvalidInput, TrainerError

_IN_THE_WAY = "Something else is in its place. Move that away, and call the same command again."
_FORBIDDEN = "Change its permissions (ls -ld shows them), or use another folder."
# By what the operating system says of a file. No more than this is known where a call to it has failed.
_HINTS = {
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: "It is on a file system that is mounted read-only. Use another folder.",
    errno.ENOENT: "Something has removed it, or a link leads nowhere. See what is there with ls -l.",
    errno.EEXIST: _IN_THE_WAY,
    errno.ENOTEMPTY: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EISDIR: _IN_THE_WAY,
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "The link leads to itself. Remove it.",
    errno.EMFILE: "Too many files are open. `ulimit -n` shows the limit, and raises it.",
    errno.ENFILE: "Too many files are open on this machine.",
}
_LOOP = re.compile("Symlink loop from '(.*)'")  # what pathlib makes of it, before Python 3.13
_OTHERWISE = "The operating system says so. `trainer --debug …` shows what trainer was doing."


def explain(error: BaseException) -> tuple[str, str, int]:
    """The message, the hint, and the exit code of a failure."""
    match error:
        case TrainerError():
            return error.message, error.hint, error.exit_code
        case InputError():
            return error.message, error.hint, InvalidInput.exit_code
        case click.UsageError(ctx=click.Context() as context):
            hint = _meant(error, context) or f"{typed_path(context)} --help"
            return error.format_message(), hint, error.exit_code
        case click.ClickException():
            return error.format_message(), "trainer --help", error.exit_code
        case Interrupted() | click.Abort() | KeyboardInterrupt():
            stopped = error if isinstance(error, Interrupted) else Interrupted(signal.SIGINT)
            by = f" by {error}" if error is stopped else ""
            return f"Stopped{by}.", stopped.hint, stopped.exit_code
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return _of_a_full_disk(error)
        case FileNotFoundError(filename=None) if not _has_current_folder():
            return "The current folder has been removed.", "Go to another one: cd FOLDER", FileError.exit_code
        case OSError(errno=int(), strerror=str()):
            return *_of_the_system(error), FileError.exit_code
        case RuntimeError() if match := _LOOP.fullmatch(str(error)):
            return explain(OSError(errno.ELOOP, os.strerror(errno.ELOOP), match[1]))
    return (
        f"Unexpected: {type(error).__name__}: {error}",
        "This is a bug in trainer. Please report it with what `trainer --debug …` prints instead.",
        TrainerError.exit_code,
    )


def _meant(error: click.UsageError, context: click.Context) -> str:
    """For a command's name in another tool, and for an option of `trainer` that was given to a command."""
    if isinstance(error, NoSuchCommand):
        return ours(context.command_path, error.command_name) or ""
    if not isinstance(error, click.NoSuchOption):
        return ""
    option = global_option(context, error.option_name)
    if option is None or context.parent is None:
        return ""
    option_text = error.option_name + ("" if option.is_flag else " VALUE")
    return f"It comes before the command: trainer {option_text} {typed_path(context).partition(' ')[2]} …"


def _of_a_full_disk(error: OSError) -> tuple[str, str, int]:
    if error.filename == "standard output":
        return (
            "The disk is full: standard output",
            "Make room, or redirect it elsewhere.",
            FileError.exit_code,
        )
    return (
        f"The disk is full{f': {_name(error.filename)}' if error.filename else '.'}",
        "Make room. A run that was live has its record: `trainer reconcile` ends it.",
        DiskFull.exit_code,
    )


def _of_the_system(error: OSError) -> tuple[str, str]:
    """A file that cannot be used is no bug: what the operating system says, and which file it is."""
    names = [_name(name) for name in (error.filename, error.filename2) if name]
    where = f"{' → '.join(names)}: " if names else ""
    return f"{where}{error.strerror}.", _HINTS.get(error.errno or 0, _OTHERWISE)


def _has_current_folder() -> bool:
    try:
        return bool(Path.cwd())
    except OSError:
        return False


def _name(file: object) -> str:
    return os.fsdecode(file) if isinstance(file, str | bytes) else str(file)
