"""`trainer build-image --check-reproducible`: the builds, the verdicts, and what they are called."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.cli.live.progress import Progress
from trainer.counted import counted
from trainer.errors import CheckFailed
from trainer.images.buildkit import Buildable
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.images.reproducibility import Verdict

_SHOWN = 20


def check(
    workspace: Workspace, plans: Sequence[Buildable], *, dry_run: bool, as_json: bool, plain: bool
) -> None:
    """Check each image and print what came of it; raises `CheckFailed` where one differs.

    `plain` prints all output of the builds.
    """
    from trainer.engine import daemon
    from trainer.images import reproducibility
    from trainer.subprocesses import interruptible

    if dry_run:
        for plan in plans:
            for trial in reproducibility.trials(plan):
                click.echo(shlex.join(trial.command))
        return
    client = daemon.connect()
    verdicts = []
    with interruptible(), Progress(plain=plain) as progress:
        for plan in plans:
            verdicts.append(reproducibility.check(workspace, client, plan, progress))
            progress.stop()
            if not as_json:
                _show(verdicts[-1])
    if as_json:
        output.as_json([{**asdict(verdict), "identical": verdict.identical, "equal": verdict.equal}
                        for verdict in verdicts])  # fmt: skip
    differing = [verdict.image for verdict in verdicts if not verdict.equal]
    if differing:
        raise CheckFailed(
            f"Built twice, {' and '.join(differing)} differ.",
            "Let the step that writes these files leave out timestamps and the like, or remove the files.",
        )


def _show(verdict: Verdict) -> None:
    if verdict.identical:
        click.echo(f"{verdict.image}: two builds are one image, bit for bit: {_short(verdict.ids[0])}")
    elif verdict.equal:
        click.echo(f"{verdict.image}: two builds are equal file by file, except for when files were written")
    else:
        click.echo(f"{verdict.image}: two builds differ in {counted(len(verdict.differences), 'place')}")
    for difference in verdict.differences[:_SHOWN]:
        click.echo(f"  {difference.path}  {difference.what}")
    if len(verdict.differences) > _SHOWN:
        click.echo(f"  … and {len(verdict.differences) - _SHOWN} more; --json lists all")
    if verdict.identical and verdict.present_id:
        if verdict.present_id == verdict.ids[0]:
            comparison = "is the same"
        elif verdict.present_equal:
            comparison = f"has the same files, in other layers: {_short(verdict.present_id)}"
        else:
            comparison = f"is another: {_short(verdict.present_id)}"
        click.echo(f"The image that is there {comparison}")


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]
