"""secrets.env: read once, and checked against leaking."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from trainer import git, locks
from trainer.errors import DiskFull, FileError, SecretsError
from trainer.masking import SHORTEST_MASKED, Masker
from trainer.workspace import server_password
from trainer.workspace.settings import Workspace, find

if TYPE_CHECKING:
    from dotenv.parser import Binding

# Names in secrets.env that are settings rather than secrets: masking them would garble every log.
NOT_SECRET = {
    "AWS_DEFAULT_REGION", "AWS_REGION", "MLFLOW_S3_ENDPOINT_URL", "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME",
    "REQUESTS_CA_BUNDLE",
}  # fmt: skip
# Nor are these, but for the password that an address may have in it.
PROXIES = (
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY",
    "no_proxy",
)  # fmt: skip
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNCLOSED = re.compile(r"""[^=]*=\s*(['"])(?:\\.|(?!\1).)*$""")
TOO_SHORT = f"it has fewer than {SHORTEST_MASKED} characters, as many ordinary words have."


@dataclass(frozen=True)
class Secrets:
    """Name → value. Printing it shows the names only."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    own: tuple[str, ...] = field(default=(), repr=False)
    """What trainer itself made and keeps elsewhere: the password of the workspace's own server."""

    def get(self, name: str) -> str | None:
        """The value from the environment, else from secrets.env, else None."""
        return os.environ.get(name) or self.values.get(name)

    def origin(self, name: str) -> str | None:
        """Where `get` has the value from, in words."""
        if os.environ.get(name):
            return f"{name} of the environment"
        return f"{name} in secrets.env" if self.values.get(name) else None

    def masked(self, declared: Iterable[str] = ()) -> list[str]:
        """The values that must not be seen in any output: the file's, and those of the `declared` names."""
        return sorted({value for _, value in self._hidden(declared)} - {""})

    def named_in(self, text: str, declared: Iterable[str] = ()) -> str | None:
        """The name of a secret whose value is in the text, in whatever form; None where there is none."""
        names = (name for name, value in self._hidden(declared) if Masker([value]).text(text) != text)
        return next(names, None)

    def _hidden(self, declared: Iterable[str]) -> Iterator[tuple[str, str]]:
        plain = {*NOT_SECRET, *PROXIES}
        pairs = [(name, value) for name, value in self.values.items() if name not in plain]
        pairs += [("MLFLOW_TRACKING_PASSWORD", password) for password in self.own]
        elsewhere = {*declared, "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"} - NOT_SECRET
        pairs += [(name, os.environ.get(name, "")) for name in sorted(elsewhere)]
        yield from pairs
        # A URI, that of the tracking server too, may carry a password of its own.
        for name, uri in (
            *pairs,
            *((name, self.get(name) or "") for name in ("MLFLOW_TRACKING_URI", *PROXIES)),
        ):
            with contextlib.suppress(ValueError):
                password = urlsplit(uri).password or ""
                yield from ((name, password), (name, unquote(password)))


def load(workspace: Workspace) -> Secrets:
    """Read the workspace's secrets.env; a workspace without one has no secrets.

    Raises `SecretsError` when it is no file, when git tracks it or would, when other users can read it, or
    when a line is invalid. The line itself is never shown.
    """
    loaded = read(workspace)
    if workspace.secrets_file.exists():
        check(workspace)
    return loaded


def check(workspace: Workspace) -> None:
    """Raise `SecretsError` if secrets.env leaks, or would once it is there."""
    for trouble in leaks(workspace.secrets_file):
        raise trouble


def read(workspace: Workspace) -> Secrets:
    """Read secrets.env without asking whether it could leak: enough to mask what it holds."""
    path = workspace.secrets_file
    values = _values(path, _bindings(path, _content(path)))
    return Secrets(values, tuple(filter(None, [server_password.known(workspace)])))


def hide(text: str) -> str:
    """A message without the values of the present workspace's secrets.env, as far as they can be known."""
    with contextlib.suppress(Exception):  # whatever is wrong with the workspace, the failure is to be told
        return Masker(read(find()).masked()).text(text)
    return text


def leaks(path: Path) -> Iterator[SecretsError]:
    """All the ways in which the file leaks, or would once it is there; that git cannot be asked is one."""
    try:
        yield from _in_git(path)
    except FileError as error:
        yield SecretsError(error.message, error.hint)
    if path.exists() and os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield SecretsError(f"Other users of this machine can read {path}.", f"chmod 600 {path}")


def _in_git(path: Path) -> Iterator[SecretsError]:
    folder = path.parent
    if git.ask(folder, "rev-parse", "--is-inside-work-tree") is not None:
        if git.ask(folder, "ls-files", "--error-unmatch", path=path.name) is not None:
            yield SecretsError(
                f"git tracks {path}.",
                f"git rm --cached {path.name}, add the line `{path.name}` to .gitignore, and change every "
                "secret in it that was pushed.",
            )
        if not git.is_ignored(path):
            yield SecretsError(
                f"git would commit {path}: no .gitignore names it.",
                f"echo {path.name} >> {folder / '.gitignore'}",
            )


def in_history(path: Path) -> str | None:
    """The latest commit of any branch that has the file, with its date, or None. It may take git a while.

    Raises `FileError` where git cannot be asked.
    """
    # A repository's configuration could have signatures checked, or differences shown, by its own programs.
    without = ("--no-show-signature", "--no-ext-diff", "--no-textconv")
    asking = ("log", "--all", "--max-count=1", "--diff-filter=AM", "--format=%h of %as", *without)
    return (git.ask(path.parent, *asking, path=path.name) or "").strip() or None


def store(workspace: Workspace, values: Mapping[str, str | None]) -> None:
    """Set these lines of secrets.env, add them, or remove them (None); every other line stays as it is.

    A file that is not there is made, for its owner alone (mode 600). The new content replaces the old in one
    step, so an interruption leaves either. Raises `SecretsError`, with nothing written, where git would
    commit the file, where its content is invalid, and for a value that would not be read back as it
    is: an empty one, or one that is no text.
    """
    path = workspace.secrets_file
    with locks.exclusive(workspace.state / "secrets.lock"):
        old = _content(path)
        check(workspace)
        content = _changed(path, old, values)
        if content != old:
            _replace(path, content, workspace.state)


def _changed(path: Path, old: bytes, values: Mapping[str, str | None]) -> bytes:
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
        content = (mark + "".join(pieces)).encode()
        after = _values(path, _bindings(path, content))
    except (UnicodeEncodeError, SecretsError):
        after = {}
    updated = {**before, **values}
    if after != {name: value for name, value in updated.items() if value is not None}:
        raise SecretsError(
            f"{path} cannot hold this value of {' or '.join(values)}.",
            "A value must be text and not empty. Nothing was written.",
        )
    return content


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


def _replace(path: Path, content: bytes, hidden: Path) -> None:
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


def _content(path: Path) -> bytes:
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
