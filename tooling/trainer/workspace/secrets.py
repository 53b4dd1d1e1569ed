"""secrets.env: read once, and checked against leaking."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trainer import git, locks
from trainer.errors import FileError, SecretsError
from trainer.masking import SHORTEST_MASKED, Masker
from trainer.workspace import secrets_file, server_password
from trainer.workspace.settings import Workspace, find

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
    return Secrets(secrets_file.read(path), tuple(filter(None, [server_password.known(workspace)])))


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
        before = secrets_file.content(path)
        check(workspace)
        after = secrets_file.changed(path, before, values)
        if after != before:
            secrets_file.replace(path, after, workspace.state)
