"""`trainer completion`: the script that teaches a shell to complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from trainer.cli.examples import examples
from trainer.errors import InvalidInput


@click.command(
    short_help="Print the completion script for a shell.",
    epilog=examples('eval "$(trainer completion bash)"    in ~/.bashrc'),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell: commands, projects, their parameters, choices, images."""
    kind = get_completion_class(shell)
    if kind is None:
        raise InvalidInput(f"There is no completion for {shell}.", "Use bash, zsh or fish.")
    click.echo(kind(ctx.find_root().command, {}, "trainer", "_TRAINER_COMPLETE").source())
