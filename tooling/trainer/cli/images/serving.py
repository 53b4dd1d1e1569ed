"""`trainer build-image serve`: the image that models are served in, with a model or without."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from trainer.cli import output
from trainer.cli.images import rebuild
from trainer.cli.live.progress import Progress
from trainer.cli.predict.command import located
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.images.folder_image import FolderImage
    from trainer.serving.baked import BakedImage

NAME = "serve"
_ONE = "Build it by itself: trainer build-image serve --model NAME@ALIAS"


class How(NamedTuple):
    """The other options of the command."""

    base_image: str | None
    no_cache: bool
    check_reproducible: bool
    plain: bool
    dry_run: bool
    as_json: bool


def build_image(
    workspace: Workspace, names: Sequence[str], model: str | None, tag: str | None, pin_base: bool, how: How
) -> None:
    """Build it, and say what to do with it. Raises `InvalidInput` for options that do not fit together."""
    from trainer.engine import daemon
    from trainer.images import build

    if tuple(names) != (NAME,):
        raise InvalidInput(
            f"The image {NAME} is built with no others, and --model and --tag are for it.", _ONE
        )
    if pin_base:
        raise InvalidInput(
            f"--pin-base is not for the image {NAME}, which has no image.yaml.", "Leave it out."
        )
    if model is None and tag:
        raise InvalidInput("--tag is for an image with a model.", _ONE)
    plan = _planned(workspace, model, tag, how.base_image)
    if how.check_reproducible:
        rebuild.check(workspace, [plan], dry_run=how.dry_run, as_json=how.as_json, plain=how.plain)
        return
    if how.dry_run:
        for step in (plan.parent, plan) if plan.parent else (plan,):
            click.echo(shlex.join(step.build_command(no_cache=how.no_cache)))
        return
    client = daemon.connect()
    with Progress(plain=how.plain) as progress:
        image_id, built = build.ensure(workspace, client, plan, progress, no_cache=how.no_cache)
    if how.as_json:
        output.as_json([{"name": plan.name, "tag": plan.tags[-1], "id": image_id, "built": built}])
        return
    for bears in plan.tags:
        click.echo(f"{bears}  {'built' if built else 'up to date'}")
    if model:
        _tell_what_next(plan.name, plan.tags[-1], can_be_pushed=tag is not None)


def _planned(
    workspace: Workspace, model: str | None, tag: str | None, base_image: str | None
) -> BakedImage | FolderImage:
    from trainer.serving import baked, image

    if model is None:
        return image.plan(workspace, base_image)
    file = located(model)
    if file.remark:
        output.tell(file.remark)
    return baked.plan(workspace, file, tag=tag, base_image=base_image)


def _tell_what_next(name: str, tag: str, *, can_be_pushed: bool) -> None:
    output.tell("Run it:    openssl rand -hex 32 > token")
    # A name without a value: every user of a machine sees the arguments of a process.
    output.tell('           export MODEL_SERVER_TOKEN="$(cat token)"')
    output.tell(f"           docker run -p 8080:8080 -e MODEL_SERVER_TOKEN {tag}")
    output.tell("On this machine alone, without a token:")
    output.tell(f"           docker run -p 127.0.0.1:8080:8080 {tag} --published-on-loopback")
    output.tell(f"Copy it:   docker save {tag} | gzip > {name}.tar.gz")
    if can_be_pushed:
        output.tell(f"           docker push {tag}")
    else:
        output.tell("To push it, give it the registry's name: --tag REGISTRY/NAME:TAG")
