"""`trainer runs`: a list where no command follows."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from trainer.cli.runs.runs.edit import delete, rename, restore, tag
from trainer.cli.runs.runs.list import list_


class RunsGroup(click.Group):
    """Its command `list` is what it does by itself, with the options of that."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Have `list` take what does not name a command."""
        names_command = bool(args) and args[0] in {*self.commands, *ctx.help_option_names}
        is_completed = ctx.resilient_parsing and not args  # a command may still be named
        return super().parse_args(ctx, args if names_command or is_completed else [list_.name or "", *args])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options of `list`, then the commands."""
        list_.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """For completion, the options of `list` too."""
        options = [param for param in list_.params if isinstance(param, click.Option)]
        return [*(options if ctx.resilient_parsing else ()), *super().get_params(ctx)]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What the argument of `list` may be, and the commands."""
        commands = super().shell_complete(ctx, incomplete)
        return (
            commands
            if incomplete.startswith("-")
            else [*list_.params[0].shell_complete(ctx, incomplete), *commands]
        )


@click.group(
    cls=RunsGroup,
    short_help="List the runs on the tracking server.",
    subcommand_metavar="[PROJECT | COMMAND …]",
    epilog="Examples: trainer runs sklearn --sort -accuracy --limit 5\n\ntrainer runs delete brave-hen-7",
)
def runs() -> None:
    """List runs, optionally those of PROJECT. Same as `trainer runs list`."""


for _command in (list_, delete, restore, rename, tag):
    runs.add_command(_command)
