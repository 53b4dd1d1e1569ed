"""The `trainer` command, and the one place where failures become messages and exit codes."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
from pathlib import Path

import click
from click.exceptions import NoArgsIsHelpError

from trainer.cli import streams
from trainer.cli.commands import ALL, Commands
from trainer.cli.context import choose_workspace


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
    streams.prepare()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with streams.harmless(), streams.written():
            code = _call(arguments)
    except BrokenPipeError:
        # The reader of our output has gone (`trainer images | head`): there is nothing more to say.
        code = 128 + signal.SIGPIPE
    except SystemExit:  # how click ends a completion
        raise
    except BaseException as problem:  # noqa: BLE001 (the last resort: a message instead of a traceback)
        from trainer.cli.failures import explain

        message, hint, code = explain(problem)
        with streams.harmless(), streams.last_words():
            _show(message, hint)
            if _is_debugging(arguments):
                import traceback

                from trainer.workspace import secrets

                click.echo(secrets.hide(traceback.format_exc()), err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _is_debugging(arguments: list[str]) -> bool:
    """Whether --debug stands before the command: behind it, it may be anybody's."""
    parser = cli.make_parser(click.Context(cli))
    with contextlib.suppress(click.UsageError):
        return parser.parse_args([*arguments])[0].get("debug") is True
    return False


def _call(arguments: list[str]) -> object:
    try:
        return cli.main(arguments, prog_name="trainer", standalone_mode=False)
    except NoArgsIsHelpError as problem:
        click.echo(problem.format_message())
        return 0


def _show(message: str, hint: str) -> None:
    from trainer import printable
    from trainer.cli import output
    from trainer.workspace import secrets

    click.echo(
        f"{output.style('Error:', fg='red', bold=True)} {printable.line(secrets.hide(message))}", err=True
    )
    click.echo(
        f"{output.style('Hint:', fg='cyan', bold=True)}  {printable.line(secrets.hide(hint))}", err=True
    )
