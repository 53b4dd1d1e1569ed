"""Text for a terminal, which untrusted text (of a project, a server, a file's name) must not control."""

from __future__ import annotations


def line(text: str) -> str:
    """The text in one line, with escapes for control characters: ESC, CR, marks that turn text."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def lines(text: str) -> str:
    """The same, with its line breaks and tabs."""
    if text.isprintable():
        return text
    return "".join(letter if letter in "\n\t" else line(letter) for letter in text)
