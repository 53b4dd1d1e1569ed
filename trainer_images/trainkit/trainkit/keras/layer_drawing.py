"""Drawings of a backbone: its blocks on one page, or each of its layers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pydot

from trainkit.errors import InputError
from trainkit.keras.architectures import unfrozen

if TYPE_CHECKING:
    from trainkit.keras.layer_report import BlockRow, LayerRow, Report, State

# Verdana is as wide as DejaVu Sans, for readers of an SVG whose machine has not that one.
FONT = "DejaVu Sans,Verdana,sans-serif"
INK, FAINT = "#1f2933", "#6b7785"
FILLS: dict[State | None, str] = {
    None: "#e3ecf7",
    "trains": "#b7e1b5",
    "partly": "#e3f3d8",
    "frozen": "#e6e8eb",
    "no weights": "#ffffff",
}
BARS: dict[State | None, str] = {
    None: "#4a7fb5", "trains": "#2f8f3a", "partly": "#7cbd6b", "frozen": "#9aa5b1", "no weights": "#ffffff"
}  # fmt: skip
LEGEND: dict[State, str] = {
    "trains": "trains",
    "partly": "trains in part",
    "frozen": "stays frozen",
    "no weights": "has no weights",
}
DOTS_PER_INCH = 150
MOST_PIXELS = 32_000  # what graphviz and many viewers can do
# Points. Together they are as wide as a page of A4 with its margins.
COLUMNS = (
    ("block", 72, "left"),
    ("layers", 92, "center"),
    ("output", 122, "center"),
    ("parameters", 74, "right"),
    ("trains from here", 178, "center"),
)
DASH, TIMES = "–", "×"  # noqa: RUF001
_PAGE_HEIGHT = 620  # of a page of A4, without the title
NOTE = "Trains from here: when this block and all after it are unfrozen. Batch normalisations stay frozen."


def draw(report: Report, file: Path, *, full: bool) -> None:
    """Write the drawing as the file's suffix says, .svg or .png: of the blocks, or of all layers.

    Raises `InputError` for a .png of more pixels than programs can show.
    """
    graph = layers_graph(report) if full else blocks_graph(report)
    if file.suffix == ".svg":
        graph.write_svg(file)
        return
    graph.set("dpi", DOTS_PER_INCH)
    pixels = max(_points(graph)) * DOTS_PER_INCH / 72
    if pixels > MOST_PIXELS:
        raise InputError(
            f"The drawing would be {pixels:,.0f} pixels high, too many for a PNG (at most {MOST_PIXELS:,}).",
            "Specify a file that ends in .svg.",
        )
    graph.write_png(file)


def blocks_graph(report: Report) -> pydot.Dot:
    """One row a block, from the image down to the features; as high as a page for up to twenty blocks."""
    height = min(48, max(32, _PAGE_HEIGHT // len(report["blocks"])))
    graph = _graph(report, ranksep=f"{0.4 * height / 72:.2f}", nodesep="0")
    padding = round((0.6 * height - 14) / 2)
    rows = [_block(block, report["parameters"], padding) for block in report["blocks"]]
    with_heading = f"<tr><td>{_heading(padding)}</td></tr><tr><td>{rows[0]}</td></tr>"
    rows[0] = f'<table border="0" cellspacing="0">{with_heading}</table>'
    for number, row in enumerate(rows):
        graph.add_node(_node(f"block{number}", row))
        if number:
            graph.add_edge(_arrow(f"block{number - 1}", f"block{number}"))
    graph.add_node(_node("note", _note()))
    graph.add_edge(_arrow(f"block{len(rows) - 1}", "note", style="invis"))
    _add_legend(graph, [block["state"] for block in report["blocks"]], above="block0")
    return graph


def layers_graph(report: Report) -> pydot.Dot:
    """Each layer, with what it takes its input from, in frames of blocks."""
    graph = _graph(report, ranksep="0.22", nodesep="0.12")
    for block in report["blocks"]:
        title = f"{block['name']}   {_range(block)}"
        frame = pydot.Cluster(
            block["name"], label=f"<<b>{escape(title)}</b>>", labeljust="l", fontsize="12",
            fontname=FONT, fontcolor=INK, color="#c3cad2", style="rounded", margin="10",
        )  # fmt: skip
        for layer in report["all_layers"][block["first"] : block["last"] + 1]:
            frame.add_node(_node(str(layer["index"]), _layer(layer)))
        graph.add_subgraph(frame)
    for layer in report["all_layers"]:
        for source in layer["inputs"]:
            graph.add_edge(_arrow(str(source), str(layer["index"])))
    _add_legend(graph, [layer["state"] for layer in report["all_layers"]], above="0")
    return graph


def shape(sizes: Sequence[int]) -> str:
    """Numbers with times signs between them."""
    return f" {TIMES} ".join(map(str, sizes))


def millions(number: int) -> str:
    """`14.94 M`, `16.0 k`, or the number itself below a thousand."""
    if number >= 1_000_000:
        return f"{number / 1e6:.2f} M"
    return f"{number / 1e3:.1f} k" if number >= 1000 else str(number)


def _graph(report: Report, *, ranksep: str, nodesep: str) -> pydot.Dot:
    graph = pydot.Dot(
        report["backbone"], graph_type="digraph", rankdir="TB", ranksep=ranksep, nodesep=nodesep,
        bgcolor="white", pad="0.3", fontname=FONT, fontcolor=INK, fontsize="12",
        labelloc="t", label=f"<{_title(report)}>",
    )  # fmt: skip
    graph.set_node_defaults(shape="plain", fontname=FONT, fontcolor=INK, fontsize="11")
    return graph


def _title(report: Report) -> str:
    size = report["image_size"]
    lines = [
        f'<font point-size="22"><b>{escape(report["title"])}</b></font>',
        f"{report['layers']} layers, {millions(report['parameters'])} parameters; "
        f"{shape((size, size, 3))} pixels → {report['features']:,} features",
    ]
    if report["unfreeze_from"]:
        share = (report["trains"] or 0) / report["parameters"]
        lines.append(
            f"<b>{escape(unfrozen(report['unfreeze_from']))}</b>: "
            f"{millions(report['trains'] or 0)} parameters train ({share:.1%})"
        )
    rows = "".join(f"<tr><td>{line}</td></tr>" for line in lines)
    return f'<table border="0" cellspacing="0" cellpadding="3">{rows}</table>'


def _add_legend(graph: pydot.Dot, states: Sequence[State | None], *, above: str) -> None:
    """What the colours mean that are in the drawing; without an unfreezing there is one only."""
    cells = "".join(
        f'<td border="1" color="{FAINT}" bgcolor="{FILLS[state]}" width="22"></td>'
        f'<td align="left">{words}    </td>'
        for state, words in LEGEND.items()
        if state in states
    )
    if cells:
        table = f'<table border="0" cellspacing="4" cellpadding="2"><tr>{cells}</tr></table>'
        graph.add_node(_node("legend", table))
        graph.add_edge(_arrow("legend", above, style="invis"))


def _note() -> str:
    return f'<table border="0"><tr><td><font color="{FAINT}" point-size="9">{NOTE}</font></td></tr></table>'


def _node(name: str, table: str) -> pydot.Node:
    return pydot.Node(name, label=f"<{table}>")


def _arrow(source: str, target: str, style: str = "solid") -> pydot.Edge:
    return pydot.Edge(source, target, style=style, color=FAINT, arrowsize="0.5")


def _heading(padding: int) -> str:
    cells = "".join(
        _cell(f'<font color="{FAINT}" point-size="10">{name}</font>', width, align)
        for name, width, align in COLUMNS
    )
    return f'<table border="0" cellspacing="0" cellpadding="{padding}"><tr>{cells}</tr></table>'


def _block(block: BlockRow, total: int, padding: int) -> str:
    texts = (
        _bold(block["name"]),
        _range(block),
        shape(block["output_shape"]),
        millions(block["parameters"]) if block["parameters"] else DASH,
        _share(block, total),
    )
    cells = "".join(_cell(text, width, align) for text, (_, width, align) in zip(texts, COLUMNS, strict=True))
    return (
        f'<table border="1" color="#8794a3" style="rounded" bgcolor="{FILLS[block["state"]]}" '
        f'cellborder="0" cellspacing="0" cellpadding="{padding}"><tr>{cells}</tr></table>'
    )


def _share(block: BlockRow, total: int) -> str:
    share = block["trains_from_here"] / total
    if not share:
        return DASH
    filled = max(1, round(share * 50))
    bar = "".join(
        f'<td bgcolor="{colour}" width="{width}" height="8" fixedsize="true"></td>'
        for colour, width in ((BARS[block["state"]], filled), ("#ffffff", 50 - filled))
        if width
    )
    # Room that is left over is shared out among cells; a bar of one cell stays in one piece.
    bar = f'<table border="0" cellspacing="0" cellpadding="0"><tr>{bar}</tr></table>'
    return (
        '<table border="0" cellspacing="0" cellpadding="0"><tr>'
        f'<td width="66" align="right">{millions(block["trains_from_here"])}</td>'
        f'<td width="40" align="right">{share:.0%}</td><td width="6"></td>'
        f'<td width="50" height="8" fixedsize="true">{bar}</td></tr></table>'
    )


def _layer(layer: LayerRow) -> str:
    parameters = f"   {layer['parameters']:,}" if layer["parameters"] else ""
    return (
        f'<table border="1" color="#8794a3" style="rounded" bgcolor="{FILLS[layer["state"]]}" '
        'cellborder="0" cellspacing="0" cellpadding="3">'
        f"<tr><td><b>{layer['index']}  {escape(layer['name'])}</b></td></tr>"
        f'<tr><td><font point-size="9">{escape(layer["type"])}   {shape(layer["output_shape"])}'
        f"{parameters}</font></td></tr></table>"
    )


def _bold(text: str) -> str:
    # graphviz sets bold text a point higher than what stands beside it.
    return (
        '<table border="0" cellspacing="0" cellpadding="0"><tr><td height="2"></td></tr>'
        f'<tr><td align="left"><b>{escape(text)}</b></td></tr></table>'
    )


def _cell(text: str, width: int, align: str) -> str:
    return f'<td width="{width}" align="{align}">{text}</td>'


def _range(block: BlockRow) -> str:
    if block["first"] == block["last"]:
        return str(block["first"])
    return f"{block['first']} {DASH} {block['last']}"


def _points(graph: pydot.Dot) -> tuple[float, float]:
    """Width and height of the drawing."""
    match = re.search(rb'<svg width="([\d.]+)pt" height="([\d.]+)pt"', graph.create_svg())
    if match is None:
        raise ValueError("graphviz wrote an SVG without a size")
    return float(match[1]), float(match[2])
