"""The file secrets.env: lines NAME=value as dotenv has them, read strictly and changed line by line."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import DiskFull, FileError, SecretsError

if TYPE_CHECKING:
    from dotenv.parser import Binding

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNCLOSED = re.compile(r"""[^=]*=\s*(['"])(?:\\.|(?!\1).)*$""")


def read(path: Path) -> dict[str, str]:
    """Name → value; empty where there is no file. Raises `SecretsError`, which never shows a value."""
    return _values(path, _bindings(path, content(path)))


def changed(path: Path, old: bytes, values: Mapping[str, str | None]) -> bytes:
    """The content with these values, proven to be read back with them and with all others as before."""
    before = _values(path, _bindings(path, old))
    bindings = _bindings(path, old, newline="")
    pieces = [binding.original.string for binding in bindings]
    for name, value in values.items():
        places = [at for at, binding in enumerate(bindings) if binding.key == name]
        if value is None:
            for index in places:
                pieces[index] = _gap(pieces[index])
            continue
        line = f"{name}={_quoted(value)}\n"
        if not places:
            if pieces and not pieces[-1].endswith(("\n", "\r")):
                pieces[-1] += "\n"
            pieces.append(line)
        elif before.get(name) != value:
            # Of several lines of one name the last is the one that counts.
            pieces[places[-1]] = _gap(pieces[places[-1]]) + line
    try:
        mark = "\ufeff" if old.startswith("\ufeff".encode()) else ""
        text = (mark + "".join(pieces)).encode()
        after = _values(path, _bindings(path, text))
    except (UnicodeEncodeError, SecretsError):
        after = {}
    updated = {**before, **values}
    if after != {name: value for name, value in updated.items() if value is not None}:
        raise SecretsError(
            f"{path} cannot hold this value of {' or '.join(values)}.",
            "A value must be text and not empty. Nothing was written.",
        )
    return text


def _gap(piece: str) -> str:
    """The blank lines before what is said."""
    return piece[: len(piece) - len(piece.lstrip())]


def _quoted(value: str) -> str:
    """In single quotes, between which nothing but the quote itself and a backslash has a meaning.

    A carriage return takes double quotes: as it is, it would be read as the end of a line.
    """
    escaped = value.replace("\\", r"\\")
    if "\r" in value:
        return '"' + escaped.replace('"', r"\"").replace("\r", r"\r") + '"'
    return "'" + escaped.replace("'", r"\'") + "'"


def replace(path: Path, content: bytes, hidden: Path) -> None:
    """Make the file, or replace what it holds, in one step; for its owner alone.

    `hidden` is a folder of the same file system that git ignores.
    """
    # Not beside the file itself: nobody's .gitignore knows the temporary name.
    # Always of one name, so that what a kill leaves is replaced by the next call.
    temporary = hidden / "secrets.unfinished"
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path.resolve())
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise (DiskFull if is_full else FileError)(
            f"{path} cannot be written: {error.strerror}.",
            "The file is unchanged. Fix the cause and try again.",
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def content(path: Path) -> bytes:
    """Nothing where there is no file. What is none is not opened: reading a pipe could take for ever."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            raise SecretsError(
                f"{path} is a link to {path.readlink()}, which is not there.",
                "Make that file, for you alone to read, or remove the link.",
            ) from None
        return b""
    except OSError as error:
        raise SecretsError(f"{path} cannot be read: {error.strerror}.", f"ls -ld {path}") from None
    kind = "folder" if stat.S_ISDIR(mode) else "named pipe" if stat.S_ISFIFO(mode) else "device or a socket"
    raise SecretsError(
        f"{path} is a {kind}, and has to be a file.",
        "Move it away; `trainer secrets set NAME` makes the file.",
    )


def _bindings(path: Path, content: bytes, newline: str | None = None) -> list[Binding]:
    from dotenv.parser import parse_stream

    stream = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=newline)
    try:
        return list(parse_stream(stream))
    except UnicodeDecodeError:
        raise SecretsError(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from None


def _first_line(piece: str) -> str:
    return piece.lstrip().partition("\n")[0]


def _values(path: Path, bindings: Iterable[Binding]) -> dict[str, str]:
    values: dict[str, str] = {}
    for binding in bindings:
        line = binding.original.line + _gap(binding.original.string).count("\n")
        if binding.error and _UNCLOSED.match(_first_line(binding.original.string)):
            raise SecretsError(
                f"{path}, line {line}: a quote is not closed.",
                "Close it at the end of the value; put a value that has a quote in it in the other kind.",
            )
        if binding.error or (binding.key is not None and binding.value is None):
            raise SecretsError(
                f"{path}, line {line}: this is not NAME=value.",
                "Write NAME=value; quote a value with blanks or # in it: NAME='a value'.",
            )
        if binding.key is not None and not NAME.fullmatch(binding.key):
            raise SecretsError(
                f"{path}, line {line}: what stands before = is not the name of a variable.",
                "Write NAME=value, without `$env:`: letters, digits and underscores, no digit first.",
            )
        if "\0" in (binding.value or ""):
            raise SecretsError(
                f"{path}, line {line}: the value has a NUL byte, which no variable can hold.",
                "Set it again from text in UTF-8: trainer secrets set NAME < FILE",
            )
        if binding.key is not None and binding.value:
            values[binding.key] = binding.value
    return values
