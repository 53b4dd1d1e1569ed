"""docs/commands.md is what the command line says, and the command line says enough."""

from collections.abc import Iterator

import click
import command_reference
import pytest
from support import REPOSITORY
from trainer.cli.commands import loaded
from trainer.cli.main import cli


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    command = loaded(command)
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            if not child.hidden:  # what its group does by itself
                yield from commands(child, f"{path} {name}")


ALL = dict(commands(cli, "trainer"))


def test_the_page_is_current() -> None:
    """If this fails, `make commands`."""
    assert (REPOSITORY / "docs" / "commands.md").read_text() == command_reference.page()


def test_the_page_has_every_command() -> None:
    headings = [line[3:] for line in command_reference.page().splitlines() if line.startswith("## ")]
    assert sorted(headings) == sorted(ALL)


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_an_example_of_itself(path: str) -> None:
    assert path in (ALL[path].epilog or "")


@pytest.mark.parametrize("path", ALL)
def test_every_option_says_what_it_does(path: str) -> None:
    options = [param for param in ALL[path].params if isinstance(param, click.Option)]
    assert [option.opts for option in options if not option.help] == []
