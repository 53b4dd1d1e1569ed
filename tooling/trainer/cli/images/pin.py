"""`trainer build-image --pin-base`: what the base was called, and what it is called now."""

from __future__ import annotations

from collections.abc import Sequence

import click

from trainer.cli import output
from trainer.cli.live.progress import Progress
from trainer.images.spec import ImageSpec
from trainer.workspace.settings import Workspace


def pin(
    workspace: Workspace, images: Sequence[ImageSpec], base: str | None, *, dry_run: bool, as_json: bool
) -> None:
    """Pin the base of each image; all registries are asked before the first file is written."""
    from trainer.engine import daemon
    from trainer.images import pin as base_pin

    client = daemon.connect()
    with Progress() as progress:
        progress.step("Asking the registry")
        pins = [base_pin.plan(workspace, client, image, base) for image in images]
    payload = [
        {"name": pin.image, "file": str(pin.file), "old": pin.old, "new": pin.new, "changed": pin.changes}
        for pin in pins
    ]
    if not dry_run:
        for pinned in pins:
            base_pin.write(pinned)
    if as_json:
        output.as_json(payload)
        return
    for each in payload:
        click.echo(f"{each['name']}: {each['old']} → {each['new']}" if each["changed"]
                   else f"{each['name']}: pinned already: {each['new']}")  # fmt: skip
