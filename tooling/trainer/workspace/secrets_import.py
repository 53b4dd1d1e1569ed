"""Variables that another file sets: dotenv, a shell script, PowerShell, or a Windows batch file.

Nothing of the file is executed. Messages name lines, and never show what is on them.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from trainer.errors import SecretsError
from trainer.workspace import secrets_file

_POWERSHELL = re.compile(
    r"""\s*\$env:(?P<name>\w+)\s*=\s*(?P<value>"(?:[^"`]|`.|"")*"|'(?:[^']|'')*'|[^\s"'#;]+)\s*;?\s*(?:\#.*)?"""
    r"""|\s*\[(?:System\.)?Environment\]::SetEnvironmentVariable\(\s*["'](?P<method_name>\w+)["']\s*,"""
    r"""\s*(?P<method_value>"(?:[^"`]|`.|"")*"|'(?:[^']|'')*')\s*(?:,[^)]*)?\)\s*;?\s*""",
    re.IGNORECASE,
)
_BATCH = re.compile(r'\s*@?set\s+(?:"(?P<quoted>\w+=[^"]*)"|(?P<plain>\w+=.*?))\s*', re.IGNORECASE)
_STARTS_AS_POWERSHELL = re.compile(r"^\s*\$env:\w+\s*=", re.IGNORECASE | re.MULTILINE)
_STARTS_AS_BATCH = re.compile(r'^\s*@?set\s+"?\w+=', re.IGNORECASE | re.MULTILINE)
# A word of a shell, and perhaps a comment: nothing that the shell would compute, split or run.
_PLAIN = re.compile(r"""('[^']*'|"[^"\\$`]*"|[^\s'"\\$`;&|<>()#*?\[\]{}~!]*)\s*(\s\#.*)?""")
_ReadLine = Callable[[Path, int, str], tuple[str, str] | None]
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


@dataclass(frozen=True)
class Variables:
    """What a file sets, and the numbers of the lines that do something else."""

    values: dict[str, str]
    other_lines: tuple[int, ...]


def read(path: Path) -> Variables:
    """The variables that the file sets; of one that is set twice the last value.

    Raises `SecretsError` for a file that cannot be read, and for a value that the shell would compute.
    """
    text = _text(path)
    if path.suffix.lower() == ".ps1" or _STARTS_AS_POWERSHELL.search(text):
        return _by_line(path, text, "#", _powershell)
    if path.suffix.lower() in (".bat", ".cmd") or _STARTS_AS_BATCH.search(text):
        return _by_line(path, text, ("rem ", "::", "@echo"), _batch)
    return _shell(path, text)


def _text(path: Path) -> str:
    content = secrets_file.content(path)
    if not content and not path.exists():
        raise SecretsError(f"There is no file {path}.", "Pass the path of the file to import.")
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as Windows PowerShell writes
    try:
        return content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise SecretsError(f"{path} is not text in UTF-8 or UTF-16.", "Save it as UTF-8.") from None


def _by_line(path: Path, text: str, comments: str | tuple[str, ...], read_line: _ReadLine) -> Variables:
    values: dict[str, str] = {}
    others: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.strip().lower().startswith(comments):
            continue
        if pair := read_line(path, number, line):
            values[pair[0]] = pair[1]
        else:
            others.append(number)
    return Variables(values, tuple(others))


def _powershell(path: Path, number: int, line: str) -> tuple[str, str] | None:
    match = _POWERSHELL.fullmatch(line)
    if match is None:
        return None
    name, text = match["name"] or match["method_name"], match["value"] or match["method_value"]
    if text.startswith("'"):
        return name, text[1:-1].replace("''", "'")
    inner = text[1:-1] if text.startswith('"') else text
    if re.search(r"(?<!`)\$", inner):
        raise _computed(path, number)
    unescaped = re.sub(r"`(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), inner.replace('""', '"'))
    return name, unescaped


def _batch(path: Path, number: int, line: str) -> tuple[str, str] | None:
    match = _BATCH.fullmatch(line)
    if match is None:
        return None
    name, _, value = (match["quoted"] or match["plain"]).partition("=")
    if re.search(r"%\w+%", value):
        raise _computed(path, number)
    return name, value


def _shell(path: Path, text: str) -> Variables:
    """Lines of dotenv, which are those of a shell that set a variable."""
    from dotenv.parser import parse_stream

    values: dict[str, str] = {}
    others: list[int] = []
    for binding in parse_stream(StringIO(text)):
        piece = binding.original.string
        number = binding.original.line + piece[: len(piece) - len(piece.lstrip())].count("\n")
        if binding.key is None and not binding.error:
            continue
        name, value = binding.key or "", binding.value
        if binding.error or value is None or not secrets_file.NAME.fullmatch(name):
            others.append(number)
            continue
        written = piece.partition("=")[2].strip()
        is_script = path.suffix in (".sh", ".bash", ".zsh") or piece.lstrip().startswith("export ")
        if is_script and not _PLAIN.fullmatch(written):
            raise _computed(path, number)
        if not written.startswith("'") and "${" in written:
            raise _computed(path, number)
        values[name] = value
    return Variables(values, tuple(others))


def _computed(path: Path, number: int) -> SecretsError:
    return SecretsError(
        f"{path}, line {number}: the value is not plain text.",
        "Write NAME='value' there, one on a line, or set it apart: trainer secrets set NAME",
    )
