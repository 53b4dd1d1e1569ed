"""The `trainer` command, and the one place where failures become messages and exit codes."""

from __future__ import annotations

import contextlib
import sys
import traceback
from pathlib import Path

import click

from trainer import __version__
from trainer.cli.completion import completion
from trainer.cli.context import Settings, pass_workspace
from trainer.cli.doctor import doctor
from trainer.cli.images import build_image, images
from trainer.cli.reconcile import reconcile
from trainer.cli.run import run
from trainer.cli.server import server, ui
from trainer.errors import Interrupted, TrainerError

__all__ = ["cli", "main", "pass_workspace"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: trainer run sklearn --n-estimators 200",
)
@click.option(
    "--workspace",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The workspace to use, instead of the one the current folder lies in.",
)
@click.option("--debug", is_flag=True, help="Show where in trainer a failure comes from.")
@click.version_option(__version__, prog_name="trainer")
@click.pass_context
def cli(context: click.Context, workspace: Path | None, debug: bool) -> None:
    """Run training projects in the right container, tracked and reproducible."""
    context.obj = Settings(workspace, debug)


for command in (run, build_image, images, server, ui, doctor, reconcile, completion):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code. Errors are two lines on stderr: what, and what to do."""
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(arguments, prog_name="trainer", standalone_mode=False)
    except TrainerError as problem:
        _show(problem.message, problem.hint)
        code = problem.exit_code
        if debug:
            _show_traceback()
    except click.UsageError as problem:
        path = problem.ctx.command_path if problem.ctx else "trainer"
        _show(problem.format_message(), f"{path} --help")
        code = problem.exit_code
    except click.ClickException as problem:
        _show(problem.format_message(), "trainer --help")
        code = problem.exit_code
    except (Interrupted, click.Abort, KeyboardInterrupt) as stop:
        _show("Stopped.", "Nothing is left running; the same command starts it again.")
        code = stop.exit_code if isinstance(stop, Interrupted) else 130
    except BrokenPipeError:
        # The reader of our output has gone (`trainer images | head`); say no more, not even at exit.
        with contextlib.suppress(OSError):
            sys.stdout.close()
        code = 141
    except Exception as problem:  # noqa: BLE001 (the last resort: a message instead of a traceback)
        _show(
            f"Unexpected: {type(problem).__name__}: {_masked(str(problem))}",
            "This is a bug in trainer. Please report it with the output of the same command with --debug.",
        )
        code = 1
        if debug:
            _show_traceback()
    sys.exit(code if isinstance(code, int) else 0)


def _show(message: str, hint: str) -> None:
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {message}", err=True)
    click.echo(f"{click.style('Hint:', fg='cyan', bold=True)}  {hint}", err=True)


def _show_traceback() -> None:
    click.echo(_masked(traceback.format_exc()), err=True)


def _masked(text: str) -> str:
    """Without the values of secrets.env, as far as they can be known at this point."""
    from trainer import secrets, workspace

    with contextlib.suppress(TrainerError, OSError):
        return secrets.Masker(secrets.load(workspace.find()).masked()).text(text)
    return text
