"""docs/commands.md: every command with its options, defaults and example, from the command line itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click
from trainer.cli.commands import DefaultCommandGroup, loaded
from trainer.cli.main import cli

_HEAD = """\
# Commands

Written by `make commands` from what each command says with `--help`. The parameters that a project has are
options of `trainer run PROJECT` as well; `trainer run PROJECT --help` shows them. What a command exits with
where it fails is in [exit-codes.md](exit-codes.md).
"""


def page() -> str:
    """The whole page, in Markdown."""
    root = click.Context(cli, info_name="trainer", **cli.context_settings)
    commands = list(_commands(root))
    contents = [f"[`{ctx.command_path}`](#{_anchor(ctx)})" for ctx in commands if ctx.parent is root]
    sections = [_section(ctx) for ctx in (root, *commands)]
    return "\n".join([_HEAD, " · ".join(contents), "", *sections])


def _commands(ctx: click.Context) -> Iterator[click.Context]:
    """All commands below this one, in the order of `--help`, a group before what it has."""
    if isinstance(ctx.command, click.Group):
        for name in ctx.command.list_commands(ctx):
            command = ctx.command.get_command(ctx, name)
            if command and not command.hidden:
                child = click.Context(loaded(command), info_name=name, parent=ctx)
                yield child
                yield from _commands(child)


def _section(ctx: click.Context) -> str:
    command = ctx.command
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    lines = [f"## {ctx.command_path}", "", "```text", usage, "```", "", _text(command.help or ""), ""]
    params = [*_of_hidden_default(ctx), *command.get_params(ctx)]
    records = [param.get_help_record(ctx) for param in params if "--help" not in param.opts]
    options = [_option(record) for record in records if record and record[1]]
    if options:
        lines += ["| option | what it does |", "|---|---|", *options, ""]
    if command.epilog:
        epilog = re.sub(r"^\s*Examples?:", "", inspect.cleandoc(command.epilog).replace("\b", ""))
        lines += ["```text", *(line.strip() for line in epilog.splitlines() if line.strip()), "```", ""]
    return "\n".join(lines)


def _of_hidden_default(ctx: click.Context) -> list[click.Parameter]:
    """The options that a group has from a command which it hides, and so has no section of its own."""
    default = ctx.command.default if isinstance(ctx.command, DefaultCommandGroup) else None
    return default.get_params(ctx) if default and default.hidden else []


def _text(help_text: str) -> str:
    """A help text, in which click ends a paragraph with an empty line, as Markdown."""
    paragraphs = inspect.cleandoc(help_text).split("\n\n")
    return "\n\n".join(_as_it_is(each) if each.startswith("\b\n") else _plain(each) for each in paragraphs)


def _as_it_is(paragraph: str) -> str:
    """A paragraph whose lines click leaves alone."""
    lines = inspect.cleandoc(paragraph.removeprefix("\b\n"))
    return f"```text\n{lines}\n```"


def _option(record: tuple[str, str]) -> str:
    names, meaning = record
    shown = names.replace("|", "\\|")
    return f"| `{shown}` | {_plain(meaning)} |"


def _plain(text: str) -> str:
    """One line, in which nothing but code between backticks means something to Markdown."""
    pieces = re.split(r"(`[^`]*`)", " ".join(text.split()))
    escaped = (piece if piece.startswith("`") else re.sub(r"([<>*|])", r"\\\1", piece) for piece in pieces)
    return "".join(escaped)


def _anchor(ctx: click.Context) -> str:
    return ctx.command_path.replace(" ", "-")


if __name__ == "__main__":
    click.echo(page(), nl=False)
