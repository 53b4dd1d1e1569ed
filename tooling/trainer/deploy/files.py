"""Files for platforms that build a folder by themselves; nothing of the user's is overwritten unasked."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trainer import atomic_files
from trainer.counted import counted
from trainer.errors import InvalidInput, SecretsError
from trainer.workspace import secrets_file

DIFFERS = "differs"


@dataclass(frozen=True)
class PlatformFiles:
    """The files of a platform, by their path in the folder, and what the user does with them."""

    files: Mapping[str, bytes] = field(repr=False)
    secrets: Mapping[str, Mapping[str, str]] = field(repr=False)
    """The one file with secrets, if there is one: name → value. One that is there is kept."""
    next: list[str]
    """Lines to print."""
    copied: frozenset[str] = frozenset()
    """Those of the files that are copies of what lies in the workspace or in trainer."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What the file with secrets is to say besides. Lines of a file that is there are changed."""
    ours: frozenset[str] = frozenset()
    """Those of the files that nobody edits: they are replaced."""
    mounted: frozenset[str] = frozenset()
    """Those of the files that containers read, whose users are others."""
    conflicts: Callable[[Path], None] = lambda _: None
    """Raises `InvalidInput` for a folder that has what these files would not go together with."""


def ignored(secrets: Iterable[str]) -> dict[str, bytes]:
    """The .gitignore that keeps the files with secrets out of git, if there are any."""
    lines = "".join(f"/{name}\n/{atomic_files.beside(Path(name))}\n" for name in secrets)
    return {".gitignore": lines.encode()} if lines else {}


def planned(platform_files: PlatformFiles, folder: Path) -> dict[str, str]:
    """What `write` would do with each file: new, same, kept, changed, or differs (it was edited).

    Raises `InvalidInput` or `SecretsError` for a folder that cannot be written to.
    """
    platform_files.conflicts(folder)
    states = {}
    for name, content in platform_files.files.items():
        path = folder / name
        if not path.parent.resolve().is_relative_to(folder.resolve()):
            raise InvalidInput(
                f"{path.parent} leads out of {folder} by a link.",
                "Nothing was written. Choose another: -o DIR",
            )
        if not os.path.lexists(path):
            states[name] = "new"
        elif name == ".gitignore":
            states[name] = _ignores(path, platform_files.secrets)
        elif path.is_file() and path.read_bytes() == content:
            states[name] = "same"
        else:
            states[name] = "changed" if name in platform_files.ours else DIFFERS
    for name, values in platform_files.secrets.items():
        path = folder / name
        if os.path.lexists(path):
            _check_secrets(path, values)
            same = platform_files.settings.items() <= secrets_file.read(path).items()
            states[name] = "kept" if same else "changed"
        else:
            states[name] = "new"
    return states


def refuse_edited(states: Mapping[str, str], folder: Path) -> None:
    """Raise `InvalidInput` where a file is there with another content."""
    edited = [name for name, state in states.items() if state == DIFFERS]
    if edited:
        more = f", and so {'is' if len(edited) == 2 else 'are'} {counted(len(edited) - 1, 'file')} more"
        raise InvalidInput(
            f"{folder / edited[0]} is there, and it is another one{more if edited[1:] else ''}.",
            "Nothing was written. See the difference: --dry-run; replace it: --force; or elsewhere: -o DIR",
        )


def difference(platform_files: PlatformFiles, folder: Path, name: str) -> str:
    """From what is there to what would be written, as `diff -u` prints it."""
    path = folder / name
    there, wanted = path.read_bytes() if path.is_file() else b"", platform_files.files[name]
    lines = difflib.unified_diff(
        there.decode("utf-8", "replace").splitlines(), wanted.decode("utf-8", "replace").splitlines(),
        str(path), f"{path} (with --force)", lineterm="",
    )  # fmt: skip
    return "\n".join(lines)


def write(platform_files: PlatformFiles, folder: Path, *, force: bool = False) -> dict[str, str]:
    """Write what is not there yet, and with `force` what was edited; what was done with each file.

    Raises like `planned` and `refuse_edited`, with nothing written.
    """
    states = planned(platform_files, folder)
    if force:
        states = {name: "changed" if state == DIFFERS else state for name, state in states.items()}
    refuse_edited(states, folder)
    # .gitignore comes first, so that no secret is ever without it.
    for name in sorted(platform_files.files, key=lambda name: name != ".gitignore"):
        if states[name] in ("new", "changed"):
            mode = 0o644 if name in platform_files.mounted else None
            _write(folder, name, platform_files.files[name], mode, replaces=states[name] == "changed")
    for name, values in platform_files.secrets.items():
        path = folder / name
        if states[name] == "new":
            said = {**platform_files.settings, **values}
            lines = "".join(f"{key}={value}\n" for key, value in said.items())
            _write(folder, name, lines.encode(), 0o600, replaces=False)
        elif states[name] == "changed":
            content = secrets_file.changed(path, path.read_bytes(), platform_files.settings)
            _write(folder, name, content, 0o600, replaces=True)
    return states


def _write(folder: Path, name: str, content: bytes, mode: int | None, *, replaces: bool) -> None:
    """`mode`: whatever the umask says; the folders of what others may read can be searched by them."""
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under a hidden name first: a part of a file would look like somebody else's to the next call.
        unfinished = atomic_files.beside(path)
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(
            unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600
        )
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
            if mode is not None:
                unfinished.chmod(mode)
            if mode == 0o644:
                for parent in path.relative_to(folder).parents[:-1]:
                    (folder / parent).chmod(0o755)
            if replaces:
                unfinished.replace(path)
            else:
                atomic_files.rename(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror}.", "Fix the cause, then run the command again."
        ) from None


def _ignores(path: Path, names: Iterable[str]) -> str:
    lines = {line.strip().lstrip("/") for line in path.read_text(encoding="utf-8").splitlines()}
    for name in names:
        if name not in lines:
            raise InvalidInput(
                f"{path} does not name /{name}, which holds secrets.", f"Add the line {name} to it."
            )
    return "same"


def _check_secrets(path: Path, values: Mapping[str, str]) -> None:
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SecretsError(f"Other users of this machine can read {path}.", f"chmod 600 {path}")
    names = {line.partition("=")[0] for line in path.read_text(encoding="utf-8").splitlines()}
    missing = [name for name in values if name not in names]
    if missing:
        raise InvalidInput(
            f"{path} is there, but does not set {missing[0]}.", "Move it away, or add that line."
        )
