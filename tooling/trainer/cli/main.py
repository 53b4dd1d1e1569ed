"""The `trainer` command, and the one place where failures become messages and exit codes."""

from __future__ import annotations

import gc
import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import click
from click.exceptions import NoArgsIsHelpError

from trainer import progress
from trainer.cli import streams
from trainer.cli.commands import ALL, Commands
from trainer.cli.context import choose_workspace
from trainer.cli.diagnostics import Diagnostics, options
from trainer.cli.examples import examples
from trainer.cli.live.asking import Asking


@click.group(
    cls=Commands,
    commands=ALL,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("trainer run sklearn --n-estimators 200"),
)
@click.option(
    "--workspace",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    callback=choose_workspace,
    expose_value=False,
    help="The workspace to use, instead of the one the current folder lies in.",
)
@click.version_option(package_name="trainer", prog_name="trainer")
def cli() -> None:
    """Run training projects in the right container, tracked and reproducible."""


cli.params[1:1] = options(hidden=False)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code. Errors are two lines on stderr: what, and what to do."""
    # Python looks for garbage every 700 new objects: a fifth of the time that importing takes.
    gc.set_threshold(50_000)
    streams.prepare()
    diagnostics = Diagnostics()
    asking = Asking()
    progress.show_with(_waiting, asking)
    try:
        with streams.harmless(), streams.written():
            code = _call(sys.argv[1:] if arguments is None else arguments, diagnostics)
    except BrokenPipeError:
        # The reader of our output has gone (`trainer images | head`): there is nothing more to say.
        code = 128 + signal.SIGPIPE
    except SystemExit:  # how click ends a completion
        raise
    except BaseException as error:  # noqa: BLE001 (the last resort: a message instead of a traceback)
        from trainer.cli.failures import explain

        message, hint, code = explain(error)
        with streams.harmless(), streams.last_words():
            _show(message, hint)
            if diagnostics.is_debugging:
                import traceback

                from trainer.workspace import secrets

                click.echo(secrets.hide(traceback.format_exc()), err=True)
    finally:
        asking.close()
        diagnostics.close()
    sys.exit(code if isinstance(code, int) else 0)


def _waiting(text: str) -> AbstractContextManager[None]:
    from trainer.cli.live.progress import Progress

    return Progress.waiting(text)


def _call(arguments: list[str], diagnostics: Diagnostics) -> object:
    try:
        return cli.main(arguments, prog_name="trainer", standalone_mode=False, obj=diagnostics)
    except NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0


def _show(message: str, hint: str) -> None:
    from trainer import printable
    from trainer.cli import output
    from trainer.workspace import secrets

    for label, colour, text in (("Error: ", "red", message), ("Hint:  ", "cyan", hint)):
        shown = output.folded(printable.line(secrets.hide(text)), indent=len(label))
        word = label.rstrip()
        click.echo(f"{output.style(word, fg=colour, bold=True)}{label[len(word) :]}{shown}", err=True)
