"""A page of a tracking server, in the user's browser."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from trainer.cli.output import tell

if TYPE_CHECKING:
    from trainer.tracking.endpoint import Server
    from trainer.workspace.settings import Workspace


option = click.option(
    "--browser/--no-browser", "opens", default=None, help="Open a browser. [default: where there is one]"
)


def show(workspace: Workspace, server: Server, address: str, *, wanted: bool | None) -> None:
    """Print the address, and open it, logged in if the server allows it.

    `wanted`: whether a browser is opened; None where there is a screen.
    """
    from trainer.server import login_page

    click.echo(address)
    has_screen = sys.platform == "darwin" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    opens = has_screen if wanted is None else wanted
    page = login_page.write(workspace, server, address) if opens else None
    if server.username and not page:
        tell(f"Log in as {server.username}; `trainer env` prints the password.")
    if opens:
        click.launch(page.as_uri() if page else address)
