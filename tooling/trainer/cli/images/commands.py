"""`trainer build-image`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TypedDict

import click
from click.shell_completion import CompletionItem

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.images import pin, rebuild, serving
from trainer.cli.live.progress import Progress
from trainer.cli.predict.command import complete_any_model
from trainer.errors import InvalidInput, TrainerError
from trainer.images import lock, locked, trainer_image
from trainer.images import spec as declared
from trainer.workspace.settings import Workspace, find


def complete_image(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The workspace's images by name and alias, with their descriptions."""
    try:
        specs = declared.discover(find())
    except TrainerError:
        return []
    named = {name: image for image in specs.values() for name in (image.name, *image.aliases)}
    return [CompletionItem(name, help=image.description) for name, image in named.items()
            if name.startswith(incomplete)]  # fmt: skip


@click.command(
    "build-image",
    short_help="Build trainer images.",
    epilog=examples(
        "trainer build-image sklearn",
        "trainer build-image serve --model skin@champion --tag registry.example.com/skin:3",
    ),
)
@click.argument("names", nargs=-1, metavar="NAME…", shell_complete=complete_image)
@click.option("--all", "everything", is_flag=True, help="Build every image of the workspace.")
@click.option("--model", metavar="MODEL", shell_complete=complete_any_model,
              help="Of the image serve: build one that has this model in it.")  # fmt: skip
@click.option("--tag", metavar="TAG", help="With --model: another tag for the image, such as a registry's.")
@click.option("--base-image", metavar="IMAGE", help="Build on this image. [$TRAINER_BASE_IMAGE]")
@click.option("--no-cache", is_flag=True, help="Build without the cache, even if the image is up to date.")
@click.option(
    "--check-reproducible",
    is_flag=True,
    help="Build it twice from nothing, and compare the two file by file.",
)
@click.option(
    "--pin-base", is_flag=True, help="Write the digest that the base has in its registry into image.yaml."
)
@click.option("--progress", "style", type=click.Choice(["auto", "plain"]), default="auto", show_default=True,
              help="plain prints all of the build's output.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print the commands; build nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_workspace
def build_image(
    workspace: Workspace, names: tuple[str, ...], everything: bool, model: str | None, tag: str | None,
    base_image: str | None, no_cache: bool, check_reproducible: bool, pin_base: bool, style: str,
    dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Build trainer images; those that are up to date are skipped.

    With --model, the image that models are served in, with one of them. MODEL is as of `trainer predict`.

    --check-reproducible leaves the images that are there as they are, and ends with exit code 89 where the
    two builds differ in more than when files were written. --pin-base builds nothing: what is built later is
    built on that very base.
    """
    if bool(names) == everything:
        raise InvalidInput("Specify the images to build, or pass --all.", "`trainer images` lists them.")
    if check_reproducible and pin_base:
        raise InvalidInput(
            "--check-reproducible and --pin-base cannot be combined.", "Pin first, then check."
        )
    if model or tag or serving.NAME in names:
        how = serving.How(base_image, no_cache, check_reproducible, style == "plain", dry_run, as_json)
        serving.build_image(workspace, names, model, tag, pin_base, how)
        return
    chosen = sorted(declared.discover(workspace)) if everything else names
    if pin_base:
        own = _own_base(workspace, chosen, everything)
        pin.pin(workspace, own, base_image, dry_run=dry_run, as_json=as_json)
        return
    plans = [trainer_image.plan(workspace, declared.spec(workspace, name), base_image) for name in chosen]
    _check_locks(plans)
    if check_reproducible:
        rebuild.check(workspace, plans, dry_run=dry_run, as_json=as_json, plain=style == "plain")
        return
    if dry_run:
        for step in dict.fromkeys(step for plan in plans for step in plan.line()):
            click.echo(shlex.join(step.build_command(no_cache=no_cache)))
        return
    results = _built(workspace, plans, no_cache=no_cache, plain=style == "plain")
    if as_json:
        output.as_json(results)
        return
    for result in results:
        click.echo(f"{result['tag']}  {'built' if result['built'] else 'up to date'}")


class _Result(TypedDict):
    name: str
    tag: str
    id: str
    built: bool


def _built(
    workspace: Workspace, plans: Sequence[trainer_image.TrainerImage], *, no_cache: bool, plain: bool
) -> list[_Result]:
    from trainer.engine import daemon
    from trainer.images import build

    client = daemon.connect()
    results: list[_Result] = []
    with Progress(plain=plain) as progress:
        for plan in plans:
            image_id, built = build.ensure(workspace, client, plan, progress, no_cache=no_cache)
            results.append({"name": plan.spec.name, "tag": plan.tag, "id": image_id, "built": built})
    return results


def _own_base(workspace: Workspace, names: Sequence[str], everything: bool) -> list[declared.ImageSpec]:
    of = [declared.spec(workspace, name) for name in names]
    return [image for image in of if not (everything and image.inherits)]


def _check_locks(plans: Sequence[trainer_image.TrainerImage]) -> None:
    for image in dict.fromkeys(step.spec for plan in plans for step in plan.line()):
        locked.check_compiled(image.name, image.folder / lock.SOURCE, image.lock)
