"""Asking the user for what a project wants to have."""

from __future__ import annotations

import sys

import click

from trainer.errors import NotAllowed
from trainer.plan import consent
from trainer.plan.consent import Permission
from trainer.plan.run_plan import RunPlan
from trainer.workspace.settings import Workspace

YES = "Allow what the project asks for; --dry-run shows it."


def allowed(workspace: Workspace, plan: RunPlan, *, yes: bool) -> tuple[Permission, ...]:
    """What the user allows now, asked at most once; nothing without a terminal, where --yes has to be said.

    Raises `NotAllowed` when the user says no.
    """
    requested = plan.asked
    asks = consent.open_asks(workspace, requested)
    if yes or not asks:
        return asks
    if not sys.stdin.isatty():
        return ()
    of = f" (commit {requested.commit[:12]})" if requested.commit and not requested.stored else ""
    click.echo(f"{requested.title}{of} asks to", err=True)
    for ask in asks:
        click.echo(f"  - {ask.what}", err=True)
    if not click.confirm("Allow it?", err=True):
        raise NotAllowed(f"{requested.title} was not allowed what it asks for.", "Nothing was run.")
    return asks
