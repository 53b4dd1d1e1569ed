"""The steps of a deployment, as `--dry-run` prints them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from trainer.cli import output

if TYPE_CHECKING:
    from trainer.deploy.plan import Step


def print_steps(steps: Sequence[Step]) -> None:
    """Each with its actions, and with what has to be so for it to be needed."""
    for number, step in enumerate(steps, 1):
        when = output.style(f"  if {step.when}", fg="cyan") if step.when else ""
        click.echo(f"{number:2}  {output.style(step.title, bold=True)}{when}")
        for action in step.actions:
            click.echo(f"      {action}")
