"""What the parts of the page have in common: text made harmless, and the colour of a run."""

from html import escape

from trainer import printable

COLOURS = 8


def text(text: str) -> str:
    """As HTML, in an attribute too."""
    return escape(printable.line(text.replace("\t", "    ")))


def colour(index: int) -> str:
    """The name of the style sheet's variable for a run."""
    return f"--c{index % COLOURS}"


def swatch(index: int) -> str:
    """The colour of a run beside its name."""
    return f'<span class="swatch" style="background:var({colour(index)})"></span>'
