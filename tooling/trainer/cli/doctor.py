"""`trainer doctor`: is everything there that a run needs?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace, tracking_option
from trainer.cli.examples import examples
from trainer.errors import CheckFailed
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.maintenance.doctor import Check

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failure": ("✗", "red")}


@click.command(short_help="Check the machine and suggest fixes.", epilog=examples("trainer doctor"))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@tracking_option
@pass_workspace
def doctor(workspace: Workspace, as_json: bool) -> None:
    """Check engine, disk, GPU, secrets and tracking server, and say how to fix what is wrong."""
    from trainer.maintenance import doctor as use_case

    show(use_case.checks(workspace), as_json=as_json)


def show(checks_made: Iterable[Check], *, as_json: bool) -> None:
    """Print each check as soon as it is done; raises `CheckFailed` at the end if one of them failed."""
    checks = []
    for check in checks_made:
        checks.append(check)
        if not as_json:
            mark, colour = _MARKS[check.status]
            click.echo(f"{output.style(mark, fg=colour, bold=True)} {check.name}: {check.found}")
            if check.fix:
                click.echo(f"    {output.style('fix:', bold=True)} {check.fix}")
    if as_json:
        output.as_json([check.as_json() for check in checks])
    failed = [check.name for check in checks if check.status == "failure"]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}.",
                          "Apply the fix below each of them.")  # fmt: skip
