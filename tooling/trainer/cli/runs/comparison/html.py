"""What pages of runs have in common: their style, text made harmless, and the colour of a run."""

from collections.abc import Iterable
from html import escape

from trainer import printable

COLOURS = 8
STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1c2430; --faint: #5b6675; --line: #d9dee5;
  --raised: #f5f7f9; --good: #0a7a3d; --added: #0a7a3d; --removed: #b3261e;
  --c0: #2563eb; --c1: #d9480f; --c2: #0f8a5f; --c3: #9333ea; --c4: #b7791f; --c5: #0891b2; --c6: #be185d;
  --c7: #4d7c0f; }
@media (prefers-color-scheme: dark) { :root { --back: #14181d; --text: #e4e8ed; --faint: #98a3b1;
  --line: #323a44; --raised: #1c2229; --good: #5bd18b; --added: #5bd18b; --removed: #ff8a80;
  --c0: #7aa7ff; --c1: #ff9d66; --c2: #4fd1a1; --c3: #c792ff; --c4: #ecc366; --c5: #5fd4e8; --c6: #ff85b8;
  --c7: #a8d05a; } }
* { box-sizing: border-box; }
body { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif;
  margin: 1.5rem auto 4rem; max-width: 1280px; padding: 0 clamp(.8rem, 3vw, 2rem); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: .95rem; font-weight: 600; margin: 1.2rem 0 .5rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem 1.4rem .35rem 0; text-align: left;
  vertical-align: top; }
td { font-variant-numeric: tabular-nums; max-width: 26rem; min-width: 5.5rem; overflow-wrap: anywhere; }
thead th { border-bottom-width: 2px; white-space: nowrap; } tbody th { font-weight: 500; }
.rows th:first-child { background: var(--back); left: 0; max-width: 18rem; min-width: min(9rem, 33vw);
  overflow-wrap: break-word; position: sticky; }
.runs { list-style: none; padding: 0; } .runs li { display: flex; flex-wrap: wrap; gap: 0 1.2rem; }
.runs b { font-weight: 600; min-width: 14rem; } code { color: var(--faint); }
.change, small, .none, .note { color: var(--faint); font-size: .85rem; font-weight: 400; }
.change { white-space: nowrap; }
.best { color: var(--good); font-weight: 600; white-space: nowrap; }
.swatch { border-radius: 2px; display: inline-block; height: .8rem; margin-right: .5rem; width: .8rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: 0 0 .8rem; }
.charts, .pictures { display: grid; gap: 1rem; }
.charts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); }
.pictures { grid-template-columns: repeat(auto-fit, minmax(min(100%, 210px), 1fr)); align-items: start; }
@media (max-width: 600px) { thead th { white-space: normal; } th, td { padding-right: .8rem; }
  .runs li { margin-bottom: .5rem; } .pictures { grid-auto-columns: 78%; grid-auto-flow: column;
  grid-template-columns: none; overflow-x: auto; scroll-snap-type: x mandatory; }
  .pictures figure { scroll-snap-align: start; } }
figure { background: var(--raised); border: 1px solid var(--line); border-radius: 6px; margin: 0;
  max-width: 34rem; padding: .7rem; }
figcaption { font-weight: 600; margin-bottom: .4rem; overflow-wrap: anywhere; }
img { background: #fff; border-radius: 3px; cursor: zoom-in; display: block; height: auto; width: 100%; }
img:focus { border: 1px solid var(--line); cursor: zoom-out; height: 96vh; inset: 2vh 2vw;
  object-fit: contain; position: fixed; width: 96vw; z-index: 1; }
svg { display: block; width: 100%; } svg text { fill: var(--faint); font-size: 11px; }
svg .grid { stroke: var(--line); } svg .curve { fill: none; stroke-linejoin: round; stroke-width: 1.8; }
svg .dashed { stroke-dasharray: 4 4; stroke-width: 1.3; }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: 6px; overflow-x: auto;
  padding: .8rem; font-size: .85rem; line-height: 1.4; }
ins { color: var(--added); text-decoration: none; } del { color: var(--removed); text-decoration: none; }
a { color: var(--c0); } ul.note { margin-top: 0; overflow-wrap: anywhere; }
details { margin-top: .8rem; } summary { color: var(--faint); cursor: pointer; }
"""


def text(text: str) -> str:
    """As HTML, in an attribute too."""
    return escape(printable.line(text.replace("\t", "    ")))


def colour(index: int) -> str:
    """The name of the style sheet's variable for a run."""
    return f"--c{index % COLOURS}"


def swatch(index: int) -> str:
    """The colour of a run beside its name."""
    return f'<span class="swatch" style="background:var({colour(index)})"></span>'


def document(title: str, sections: Iterable[str], style: str = "") -> str:
    """A page of sections of HTML that asks no network and runs no script; `style` is added to that of all."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">\n"
        f"<title>{text(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>\n"
        f"<h1>{text(title)}</h1>\n" + "\n".join(sections) + "\n</body>\n</html>\n"
    )
