"""Collects the pages of the site (`make docs`): python tooling/docs_site.py FOLDER.

The folder is laid out as the repository is, so links stay as they are written. A file that a page links to
and that is no page itself becomes one, with the file in it: the site needs nothing but itself.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
_STARTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "mlflow_tracking_server/README.md")
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
_LANGUAGES = {".py": "python", ".sh": "sh", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}


def collect(place: Path) -> None:
    """Write all pages to the folder, which is made again."""
    shutil.rmtree(place, ignore_errors=True)
    waiting = [REPOSITORY / name for name in _STARTS]
    waiting += [*sorted((REPOSITORY / "docs").glob("*.md")), REPOSITORY / "docs" / "site.css"]
    done: set[Path] = set()
    while waiting:
        file = waiting.pop()
        if file in done:
            continue
        done.add(file)
        made = place / file.relative_to(REPOSITORY)
        made.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".md":
            text, linked = _page(file)
            made.write_text(text, encoding="utf-8")
            waiting += linked
        elif file.suffix in (".png", ".css"):
            shutil.copyfile(file, made)
        else:
            made.with_name(f"{made.name}.md").write_text(_listing(file), encoding="utf-8")


def _page(file: Path) -> tuple[str, list[Path]]:
    """The page, with its links as the site needs them, and the files that they lead to."""
    linked: list[Path] = []

    def link(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(file.parent / found[1]))
        if target.is_dir():
            target = next(
                path for path in (target / "README.md", *sorted(target.glob("*file"))) if path.is_file()
            )
        linked.append(target)
        path = Path(os.path.relpath(target, file.parent)).as_posix()
        return path if target.suffix in (".md", ".png") else f"{path}.md"

    pieces = _CODE.split(file.read_text(encoding="utf-8"))
    pieces[1::2] = map(_code, pieces[1::2])
    return "".join(
        piece if number % 2 else _LINK.sub(link, piece) for number, piece in enumerate(pieces)
    ), linked


def _code(piece: str) -> str:
    """In a table, a bar of a code has a backslash, which Python-Markdown would show."""
    if piece.startswith("```") or r"\|" not in piece:
        return piece
    text = html.escape(piece[1:-1].replace(r"\|", "|")).replace("|", "&#124;")
    return f"<code>{text}</code>"


def _listing(file: Path) -> str:
    language = _LANGUAGES.get(file.suffix, "text")
    text = file.read_text(encoding="utf-8")
    name = file.relative_to(REPOSITORY).as_posix()
    return f"---\nsearch:\n  exclude: true\n---\n# {name}\n\n~~~~{language}\n{text}\n~~~~\n"


if __name__ == "__main__":
    collect(Path(sys.argv[1]))
