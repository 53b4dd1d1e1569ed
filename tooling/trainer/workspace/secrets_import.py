"""Variables that another file sets: dotenv, a shell script, PowerShell, or a Windows batch file.

Nothing of the file is executed. Messages name lines, and never show what is on them.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from trainer.errors import SecretsError
from trainer.workspace import secrets_file

_POWERSHELL = re.compile(
    r"""\s*\$env:(?P<name>\w+)\s*=\s*(?P<value>"(?:[^"`]|`.|"")*"|'(?:[^']|'')*'|[^\s"'#;]+)\s*;?\s*(?:\#.*)?"""
    r"""|\s*Set-Item\s+(?:-Path\s+)?["']?env:(?P<item_name>\w+)["']?\s+(?:-Value\s+)?"""
    r"""(?P<item_value>"(?:[^"`]|`.|"")*"|'(?:[^']|'')*')\s*;?\s*"""
    r"""|\s*\[(?:System\.)?Environment\]::SetEnvironmentVariable\(\s*["'](?P<method_name>\w+)["']\s*,"""
    r"""\s*(?P<method_value>"(?:[^"`]|`.|"")*"|'(?:[^']|'')*')\s*(?:,[^)]*)?\)\s*;?\s*""",
    re.IGNORECASE,
)
_BATCH = re.compile(
    r"""\s*@?set\s+(?:"(?P<quoted>\w+=[^"]*)"|(?P<plain>\w+=.*?))\s*"""
    r"""|\s*@?setx\s+(?:/m\s+)?(?P<name>\w+)\s+(?:"(?P<text>[^"]*)"|(?P<word>[^\s"/]+))(?:\s+/m)?\s*""",
    re.IGNORECASE,
)
_STARTS_AS_POWERSHELL = re.compile(r"^\s*(\$env:\w+\s*=|Set-Item\s)", re.IGNORECASE | re.MULTILINE)
_STARTS_AS_BATCH = re.compile(r'^\s*@?(set\s+"?\w+=|setx\s)', re.IGNORECASE | re.MULTILINE)
# A word of a shell, and perhaps a comment: nothing that the shell would compute, split or run.
_PLAIN = re.compile(r"""('[^']*'|"[^"\\$`]*"|[^\s'"\\$`;&|<>()#*?\[\]{}~!]*)\s*(\s\#.*)?""")
# The name and the value; no value where it is computed; nothing where the line does something else.
_ReadLine = Callable[[str], tuple[str, str | None] | None]
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


@dataclass(frozen=True)
class Variables:
    """What a file sets, and the numbers of the lines that could not be read."""

    values: dict[str, str]
    computed: dict[str, int]
    """Name → line of those whose values are not plain text: a shell would have to compute them."""
    other_lines: tuple[int, ...]


def read(path: Path) -> Variables:
    """The variables that the file sets; of one that is set twice the last value, none where that is computed.

    Raises `SecretsError` for a file that cannot be read.
    """
    text = _text(path)
    if path.suffix.lower() == ".ps1" or _STARTS_AS_POWERSHELL.search(text):
        return _by_line(text, "#", _powershell)
    if path.suffix.lower() in (".bat", ".cmd") or _STARTS_AS_BATCH.search(text):
        return _by_line(text, ("rem ", "::", "@echo"), _batch)
    return _shell(path, text)


def _text(path: Path) -> str:
    if path.is_dir():
        raise SecretsError(f"{path} is a folder.", "Pass the path of the file to import.")
    content = secrets_file.content(path)
    if not content and not path.exists():
        raise SecretsError(f"There is no file {path}.", "Pass the path of the file to import.")
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as Windows PowerShell writes
    try:
        return content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise SecretsError(f"{path} is not text in UTF-8 or UTF-16.", "Save it as UTF-8.") from None


@dataclass
class _Reader:
    """Gathers what the lines set."""

    values: dict[str, str] = field(default_factory=dict)
    computed: dict[str, int] = field(default_factory=dict)
    others: list[int] = field(default_factory=list)

    def take(self, number: int, pair: tuple[str, str | None] | None) -> None:
        if pair is None:
            self.others.append(number)
        elif pair[1] is None:
            self.values.pop(pair[0], None)
            self.computed[pair[0]] = number
        else:
            self.computed.pop(pair[0], None)
            self.values[pair[0]] = pair[1]

    def variables(self) -> Variables:
        return Variables(self.values, self.computed, tuple(self.others))


def _by_line(text: str, comments: str | tuple[str, ...], read_line: _ReadLine) -> Variables:
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.strip().lower().startswith(comments):
            reader.take(number, read_line(line))
    return reader.variables()


def _powershell(line: str) -> tuple[str, str | None] | None:
    match = _POWERSHELL.fullmatch(line)
    if match is None:
        return None
    name = match["name"] or match["item_name"] or match["method_name"]
    text = match["value"] or match["item_value"] or match["method_value"]
    if text.startswith("'"):
        return name, text[1:-1].replace("''", "'")
    inner = text[1:-1] if text.startswith('"') else text
    if re.search(r"(?<!`)\$", inner):
        return name, None
    unescaped = re.sub(r"`(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), inner.replace('""', '"'))
    return name, unescaped


def _batch(line: str) -> tuple[str, str | None] | None:
    match = _BATCH.fullmatch(line)
    if match is None:
        return None
    if match["name"]:
        name, value = match["name"], match["text"] or match["word"] or ""
    else:
        name, _, value = (match["quoted"] or match["plain"]).partition("=")
    return name, None if re.search(r"%\w+%", value) else value


def _shell(path: Path, text: str) -> Variables:
    """Lines of dotenv, which are those of a shell that set a variable."""
    from dotenv.parser import parse_stream

    reader = _Reader()
    for binding in parse_stream(StringIO(text)):
        piece = binding.original.string
        number = binding.original.line + piece[: len(piece) - len(piece.lstrip())].count("\n")
        if binding.key is None and not binding.error:
            continue
        name, value = binding.key or "", binding.value
        if binding.error or value is None or not secrets_file.NAME.fullmatch(name):
            reader.take(number, None)
            continue
        written = piece.partition("=")[2].strip()
        is_script = path.suffix in (".sh", ".bash", ".zsh") or piece.lstrip().startswith("export ")
        computed = (is_script and not _PLAIN.fullmatch(written)) or (
            not written.startswith("'") and "${" in written
        )
        reader.take(number, (name, None if computed else value))
    return reader.variables()
