"""`trainer layers`: the blocks of a backbone, also as a drawing, or the layers of a project's model."""

from __future__ import annotations

import difflib
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer import printable
from trainer.backends import registry
from trainer.cli import consent
from trainer.cli import output as screen
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.live.progress import Progress
from trainer.cli.runs.argument import pairs
from trainer.cli.runs.completion import complete_entry_point, complete_image, complete_project
from trainer.cli.runs.project.command import SOURCE, ProjectCommand
from trainer.cli.runs.project.options import PROJECT, chosen_values
from trainer.errors import InvalidInput
from trainer.projects import sources
from trainer.projects.mlproject import EntryPoint, Project
from trainer.workspace.settings import Workspace, find

if TYPE_CHECKING:
    from trainkit.keras.layer_report import Report, State

_OF_BACKBONES = ("output", "unfreeze_from", "image_size", "force")
"""Options."""
_STATES: dict[State | None, str] = {"trains": "trains", "partly": "partly", "frozen": "frozen"}
_MARKS: dict[State | None, str] = {"trains": "●", "frozen": "○"}


def complete_backbone(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The backbones, with their proper names, and the projects."""
    from trainkit.keras.architectures import BACKBONES

    backbones = [
        CompletionItem(name, help=backbone.title)
        for name, backbone in BACKBONES.items()
        if name.startswith(incomplete)
    ]
    projects = complete_project(ctx, parameter, incomplete)
    return [*backbones, *(item for item in projects if item.value not in BACKBONES)]


def complete_block(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The blocks of the backbone that stands on the command line, else of all."""
    from trainkit.keras.architectures import BACKBONES

    chosen = BACKBONES.get(ctx.params.get("project") or "")
    blocks = [
        block for backbone in ([chosen] if chosen else BACKBONES.values()) for block in backbone.unfreezable
    ]
    return [CompletionItem(name) for name in [*dict.fromkeys(blocks), "all", "none"]
            if name.startswith(incomplete)]  # fmt: skip


class LayersCommand(ProjectCommand):
    """Takes a backbone, or a project with its parameters as options, as `trainer run` does."""

    def own_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The options that are for backbones leave the project its parameters of these names."""
        own = super().own_params(ctx)
        return [option for option in own if option.name not in _OF_BACKBONES] if PROJECT in ctx.meta else own

    def _find(self, ctx: click.Context, args: list[str]) -> tuple[Project, EntryPoint] | None:
        name = self._look_for(ctx, args)[0]
        if _is_backbone(name):
            return None
        try:
            return super()._find(ctx, args)
        except InvalidInput as error:
            raise _of_run(name) or error from None


def _of_run(name: str | None) -> InvalidInput | None:
    """What is said of a run's name in the place of a project's."""
    from trainer.runs import resolve

    workspace = find()
    is_other = not name or sources.is_remote(name) or name in sources.names(workspace) or Path(name).is_dir()
    if is_other or not (records := resolve.started_here(workspace, name or "")):
        return None
    return InvalidInput(
        f"{name} is a run, and `trainer layers` takes a project.",
        f"trainer layers {shlex.quote(records[-1].project)}; as the run logged them: trainer show {name}",
    )


def _is_backbone(name: str | None) -> bool:
    """Whether it is one, or rather one misspelt than a project."""
    from trainkit.keras.architectures import BACKBONES

    if not name or name in BACKBONES or sources.is_remote(name) or Path(name).is_dir():
        return name in BACKBONES
    near = difflib.get_close_matches(name, BACKBONES, n=1, cutoff=0.8)
    return bool(near) and name not in sources.names(find())


@click.command(
    cls=LayersCommand,
    short_help="Show the layers of a network, or of the model of a project.",
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
    epilog=examples(
        "trainer layers inceptionv3",
        "trainer layers inceptionv3 --unfreeze-from mixed7 -o layers.png",
        "trainer layers tensorflow --image-size 128",
        "trainer layers train_code/inceptionv3 --full",
    ),
)
@click.argument("project", metavar="NAME", shell_complete=complete_backbone)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Also draw the backbone to FILE.png or FILE.svg.")  # fmt: skip
@click.option("--full", is_flag=True, help="Each layer; drawings of these as .svg.")
@click.option("--unfreeze-from", metavar="WHERE", shell_complete=complete_block,
              help="Show what of it trains: from a block, a number of last layers, all, none.")  # fmt: skip
@click.option("--image-size", type=click.IntRange(1), metavar="PIXELS",
              help="Edge of the images. [default: what the backbone was made for]")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option("-e", "--entry-point", default="main", show_default=True, shell_complete=complete_entry_point,
              help="Entry point of the project.")  # fmt: skip
@click.option("-P", "--param", "given", multiple=True, callback=pairs, metavar="NAME=VALUE",
              help="A parameter of the project.")  # fmt: skip
@click.option("--image", metavar="NAME", shell_complete=complete_image,
              help="Trainer image to build the model in. [default: the project's]")  # fmt: skip
@click.option("--version", metavar="REVISION", help="Commit, tag or branch of a git URL.")
@click.option("--yes", is_flag=True, help=consent.YES)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def layers(
    workspace: Workspace, /, project: str, full: bool, as_json: bool, given: Mapping[str, str],
    image: str | None, yes: bool, output: Path | None = None, unfreeze_from: str | None = None,
    image_size: int | None = None, force: bool = False, **options: object,
) -> None:  # fmt: skip
    """Show the blocks of a backbone, or the layers of the model that a project builds.

    NAME is inceptionv3 or efficientnetb0: the table says how much trains when it is unfrozen from each block.
    Keras runs in the image `tensorflow`, which is built if it is missing; no weights are downloaded.

    Or NAME is a project, as `trainer run` takes it: its script is run in its image up to where the model is
    built, with the parameters that are options here too. Nothing is trained, and no run is created. A project
    that is called like a backbone is named by its folder: train_code/inceptionv3.
    """
    context = click.get_current_context()
    if PROJECT in context.meta:
        _of_project(workspace, given, options, image, full=full, as_json=as_json, yes=yes)
    else:
        _of_backbone(
            workspace, project, output, unfreeze_from, image_size, full=full, as_json=as_json, force=force
        )


def _of_backbone(
    workspace: Workspace, backbone: str, output: Path | None, unfreeze_from: str | None,
    image_size: int | None, *, full: bool, as_json: bool, force: bool,
) -> None:  # fmt: skip
    from trainer.models import layers as use_case

    question = use_case.Question(backbone, image_size, unfreeze_from, full)
    with Progress() as progress:
        report = use_case.report(workspace, question, progress, output, force=force)
    if as_json:
        shown = {key: value for key, value in report.items() if full or key != "all_layers"}
        screen.as_json({**shown, "drawing": output})
        return
    if full:
        _print_layers(report)
    else:
        _print_blocks(report)
    click.echo(f"\n{_summary(report, full=full)}")
    if output:
        click.echo(f"Drawing: {output}")


def _of_project(
    workspace: Workspace, given: Mapping[str, str], options: Mapping[str, object], image: str | None,
    *, full: bool, as_json: bool, yes: bool,
) -> None:  # fmt: skip
    from trainkit.models import model_layers

    from trainer.models import project_layers
    from trainer.plan import request

    meta = click.get_current_context().meta
    loaded, entry_point = meta[PROJECT]
    plan = request.make(
        workspace,
        request.RunRequest(
            project=loaded,
            source=meta[SOURCE].name,
            commit=meta[SOURCE].commit,
            entry_point=entry_point.name,
            parameters=chosen_values(loaded, entry_point, given, options),
            backend=registry.target(registry.DEFAULT),
            image=image,
            gpus="none",
        ),
    )
    project_layers.check(plan)
    allowed = consent.allowed(workspace, plan, yes=yes)
    with Progress(sys.stderr.buffer) as progress:
        model = project_layers.of(workspace, plan, progress, allowed)
    if as_json:
        screen.as_json(model)
        return
    shown = model["layers"] if full else project_layers.at_a_glance(model)
    for line in model_layers.table(shown):
        click.echo(printable.line(line.rstrip()))
    click.echo(f"\n{printable.line(model_layers.summary(model))}")
    if hidden := len(model["layers"]) - len(shown):
        click.echo(f"{hidden} layers inside of others are not shown: --full")


def _print_blocks(report: Report) -> None:
    with_state = bool(report["unfreeze_from"])
    headings = ["BLOCK", "LAYERS", "COUNT", "OUTPUT", "PARAMETERS", f"{'TRAINS FROM HERE':>17}", "STATE"]
    rows = [
        [
            block["name"],
            _range(block["first"], block["last"]),
            f"{block['layers']:>5}",
            _shape(block["output_shape"]),
            f"{block['parameters']:>10,}",
            _from_here(block["trains_from_here"], report),
            _STATES.get(block["state"], ""),
        ]
        for block in report["blocks"]
    ]
    columns = len(headings) if with_state else len(headings) - 1
    screen.table(headings[:columns], [row[:columns] for row in rows])


def _print_layers(report: Report) -> None:
    screen.table(("  #", " ", "NAME", "TYPE", "OUTPUT", f"{'PARAMS':>9}"), _layer_rows(report))
    if report["unfreeze_from"]:
        click.echo(f"{_MARKS['trains']} trains   {_MARKS['frozen']} stays frozen   (others have no weights)")


def _layer_rows(report: Report) -> Iterator[tuple[str, ...]]:
    block = None
    for layer in report["all_layers"]:
        if layer["block"] != block:
            block = layer["block"]
            yield ("", "", f"── {block}", "", "", "")
        yield (
            f"{layer['index']:>3}",
            _MARKS.get(layer["state"], ""),
            layer["name"],
            layer["type"],
            _shape(layer["output_shape"]),
            f"{layer['parameters']:>9,}" if layer["parameters"] else "",
        )


def _summary(report: Report, *, full: bool) -> str:
    from trainkit.keras.architectures import unfrozen

    size = report["image_size"]
    lines = [
        f"{report['title']}: {report['layers']} layers, {report['parameters']:,} parameters; "
        f"{_shape([size, size, 3])} → {report['features']:,} features"
    ]
    if report["unfreeze_from"] and report["trains"] is not None:
        words = unfrozen(report["unfreeze_from"])
        trains = f"{report['trains']:,} parameters train ({_share(report['trains'], report)})"
        lines.append(f"{words[0].upper()}{words[1:]}: {trains}.")
    elif not full:
        lines.append("TRAINS FROM HERE: with this block and all after it unfrozen.")
    return "\n".join([*lines, "Batch normalisations stay frozen."])


def _from_here(trains: int, report: Report) -> str:
    return f"{trains:>10,}  {_share(trains, report):>5}" if trains else ""


def _share(trains: int, report: Report) -> str:
    return f"{trains / report['parameters']:.1%}"


def _shape(sizes: list[int]) -> str:
    return "×".join(map(str, sizes))  # noqa: RUF001


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"  # noqa: RUF001
