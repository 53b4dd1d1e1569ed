"""`trainer layers`: the blocks and layers of a backbone, as a table and as a drawing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer.cli import output as screen
from trainer.cli.context import pass_workspace
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainkit.keras.layer_report import Report, State

_STATES: dict[State | None, str] = {"trains": "trains", "partly": "partly", "frozen": "frozen"}
_MARKS: dict[State | None, str] = {"trains": "●", "frozen": "○"}


def complete_backbone(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The backbones, with their proper names."""
    from trainkit.keras.architectures import BACKBONES

    return [
        CompletionItem(name, help=backbone.title)
        for name, backbone in BACKBONES.items()
        if name.startswith(incomplete)
    ]


def complete_block(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The blocks of the backbone that stands on the command line, else of all."""
    from trainkit.keras.architectures import BACKBONES

    chosen = BACKBONES.get(ctx.params.get("backbone") or "")
    blocks = [
        block for backbone in ([chosen] if chosen else BACKBONES.values()) for block in backbone.unfreezable
    ]
    return [CompletionItem(name) for name in [*dict.fromkeys(blocks), "all", "none"]
            if name.startswith(incomplete)]  # fmt: skip


@click.command(
    short_help="Show the blocks of a network, to choose what to unfreeze.",
    epilog="""\b
Examples: trainer layers inceptionv3
          trainer layers inceptionv3 --unfreeze-from mixed7 -o layers.png
          trainer layers efficientnetb0 --full -o layers.svg""",
)
@click.argument("backbone", metavar="NAME", shell_complete=complete_backbone)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Also draw it to FILE.png or FILE.svg.")  # fmt: skip
@click.option("--full", is_flag=True, help="Each layer instead of the blocks; draw these as .svg.")
@click.option("--unfreeze-from", metavar="WHERE", shell_complete=complete_block,
              help="Show what trains from there: a block, a number of last layers, all, none.")  # fmt: skip
@click.option("--image-size", type=click.IntRange(1), metavar="PIXELS",
              help="Edge of the images. [default: what the backbone was made for]")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def layers(
    workspace: Workspace, backbone: str, output: Path | None, full: bool, unfreeze_from: str | None,
    image_size: int | None, force: bool, as_json: bool,
) -> None:  # fmt: skip
    """Show the blocks of a backbone, and how much trains when it is unfrozen from each of them.

    NAME is inceptionv3 or efficientnetb0. Keras runs in the image `tensorflow`, which is built if it is
    missing; no weights are downloaded.
    """
    from trainer.models import layers as use_case

    question = use_case.Question(backbone, image_size, unfreeze_from, full)
    with screen.Progress() as progress:
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
