"""The `trainer` command, and the one place where failures become messages and exit codes."""

from __future__ import annotations

import contextlib
import errno
import gc
import signal
import sys
from pathlib import Path

import click
from click.exceptions import NoArgsIsHelpError
from trainkit.errors import InputError

from trainer.cli.commands import ALL, Commands
from trainer.cli.context import choose_workspace
from trainer.errors import BadInput, CheckFailed, Interrupted, TrainerError


@click.group(
    cls=Commands,
    commands=ALL,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: trainer run sklearn --n-estimators 200",
)
@click.option(
    "--workspace",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    callback=choose_workspace,
    expose_value=False,
    help="The workspace to use, instead of the one the current folder lies in.",
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show where in trainer a failure comes from.")
@click.version_option(package_name="trainer", prog_name="trainer")
def cli() -> None:
    """Run training projects in the right container, tracked and reproducible."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code. Errors are two lines on stderr: what, and what to do."""
    # Python looks for garbage every 700 new objects: a fifth of the time that importing takes.
    gc.set_threshold(50_000)
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(arguments, prog_name="trainer", standalone_mode=False)
    except BrokenPipeError:
        # The reader of our output has gone (`trainer images | head`); say no more, not even at exit.
        with contextlib.suppress(OSError):
            sys.stdout.close()
        code = 128 + signal.SIGPIPE
    except SystemExit:  # how click ends a completion
        raise
    except NoArgsIsHelpError as problem:
        click.echo(problem.format_message())
        code = 0
    except BaseException as problem:  # noqa: BLE001 (the last resort: a message instead of a traceback)
        message, hint, code = explain(problem)
        _show(message, hint)
        if "--debug" in arguments:
            import traceback

            click.echo(_masked(traceback.format_exc()), err=True)
    sys.exit(code if isinstance(code, int) else 0)


def explain(problem: BaseException) -> tuple[str, str, int]:
    """What to say of a failure: the message, the hint, and the exit code."""
    match problem:
        case TrainerError():
            return problem.message, problem.hint, problem.exit_code
        case InputError():
            return problem.message, problem.hint, BadInput.exit_code
        case click.UsageError(ctx=click.Context() as context):
            return problem.format_message(), f"{context.command_path} --help", problem.exit_code
        case click.ClickException():
            return problem.format_message(), "trainer --help", problem.exit_code
        case Interrupted() | click.Abort() | KeyboardInterrupt():
            by, code = (
                (f" by {problem}", problem.exit_code) if isinstance(problem, Interrupted) else ("", 130)
            )
            return f"Stopped{by}.", "Nothing is left running; the same command starts it again.", code
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            where = f": {problem.filename}" if problem.filename else "."
            return (
                f"The disk is full{where}",
                "Make room. A run that was live has its record: `trainer reconcile` ends it.",
                CheckFailed.exit_code,
            )
    return (
        f"Unexpected: {type(problem).__name__}: {problem}",
        "This is a bug in trainer. Please report it with the output of the same command with --debug.",
        TrainerError.exit_code,
    )


def _show(message: str, hint: str) -> None:
    from trainer.cli import screen

    click.echo(f"{screen.style('Error:', fg='red', bold=True)} {_masked(message)}", err=True)
    click.echo(f"{screen.style('Hint:', fg='cyan', bold=True)}  {_masked(hint)}", err=True)


def _masked(text: str) -> str:
    """Without the values of secrets.env, as far as they can be known at this point."""
    from trainer import secrets, workspace

    with contextlib.suppress(TrainerError, OSError):
        return secrets.Masker(secrets.read(workspace.find()).masked()).text(text)
    return text
