"""Where a project comes from: a name under train_code/, a folder, or a git repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from trainer import git, locks, projects, shipped
from trainer.errors import BadInput
from trainer.parameters import nearest
from trainer.workspace import Workspace

_GIT = re.compile(r"(git@|ssh://|https?://|git://|file://)")


@dataclass(frozen=True)
class Source:
    """A project's folder. `name` is what to record of where it came from: no password is in it."""

    name: str
    folder: Path
    close: Callable[[], None] = lambda: None
    """Removes what was fetched."""
    commit: str = ""
    """Of what was fetched."""


def names(workspace: Workspace) -> list[str]:
    """The projects of the workspace."""
    return sorted(path.name for path in workspace.projects.glob("*") if projects.project_file(path))


def is_remote(name: str) -> bool:
    """Whether this names a git repository to be fetched."""
    return _GIT.match(name) is not None


def resolve(workspace: Workspace, name: str, revision: str | None = None, *, fetch: bool = True) -> Source:
    """The project that the user named. Raises `BadInput` with the nearest name.

    A git URL (`URL#subfolder`, as in MLflow) is fetched into a temporary folder unless `fetch` is false.
    """
    if not name:  # as a path, it would be the current folder
        raise BadInput("The project's name is empty.", "Name a project, a folder, or a git URL.")
    if is_remote(name):
        if not fetch:
            raise BadInput(f"{name} is not here.", "Fetch it first.")
        return _fetch(workspace, name, revision)
    if revision:
        raise BadInput(f"--version needs a git URL, and {name} is none.", "Check the revision out yourself.")
    if name in names(workspace):
        return Source(f"train_code/{name}", workspace.projects / name)
    folder = Path(name)
    if not folder.is_dir() and "#" in name:  # FOLDER#SUBFOLDER, as of a git URL
        folder = Path(*name.split("#", 1))
    if folder.is_dir():
        place = folder.resolve()
        inside = place.is_relative_to(workspace.root)
        return Source(str(place.relative_to(workspace.root) if inside else place), place)
    if name.endswith(".zip") and folder.is_file():
        raise BadInput(f"{name} is packed.", "Unpack it and name the folder.")
    raise BadInput(
        f"There is no project {name}.",
        nearest(name, names(workspace), "The projects are") if names(workspace) else _make_one(name),
    )


def _make_one(name: str) -> str:
    template = shipped.place("templates") / name
    if (template / projects.PROJECT_FILE).is_file():
        # The template's own name may be an image's too, which no project can have.
        return f"Make one from the template {name}: trainer new my_{name} --template {name}"
    return "Make one: trainer new NAME --template minimal (`trainer new --help` names the other templates)"


def _fetch(workspace: Workspace, url: str, revision: str | None) -> Source:
    repository, _, subfolder = url.partition("#")
    plain, environment = _without_credentials(repository)
    stack = ExitStack()
    home = _new_home(workspace, stack)
    # A project without a name of its own is called like its folder.
    place = home / (re.sub(r"\.git$", "", plain.rstrip("/").rpartition("/")[2]) or "clone")

    try:
        _git(["clone", "--quiet", plain, str(place)], environment, f"{plain} cannot be cloned")
        if revision:
            _git(["-C", str(place), "checkout", "--quiet", revision], {}, f"{plain} has no {revision}")
        folder = (place / subfolder).resolve()
        if not folder.is_relative_to(place.resolve()) or not folder.is_dir():
            raise BadInput(f"{plain} has no folder {subfolder}.", "Name a folder of it: URL#FOLDER")
        commit = (git.ask(place, "rev-parse", "HEAD") or "").strip()
    except BaseException:
        stack.close()
        raise
    name = f"{plain}#{subfolder}" if subfolder else plain
    return Source(name, folder, stack.close, commit)


def _new_home(workspace: Workspace, stack: ExitStack) -> Path:
    """A folder for a clone, until the stack is closed. Those of processes that were killed are removed."""
    workspace.state.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(workspace.state / "sources.lock"):
        for old in workspace.state.glob("source-*"):
            if not locks.is_used(old):
                shutil.rmtree(old, ignore_errors=True)
        return stack.enter_context(locks.temporary_folder(workspace.state, "source-"))


def _without_credentials(url: str) -> tuple[str, dict[str, str]]:
    """The URL without user and password, and an environment that has git use them.

    On a command line they would be seen in `ps`, and git would write them into .git/config.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadInput(
            "The git URL is none.", "https://HOST/PATH.git, or https://HOST/PATH.git#FOLDER"
        ) from None
    if not parts.password and not (parts.scheme.startswith("http") and parts.username):
        return url, {}
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    secret = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{url}.insteadOf",
        "GIT_CONFIG_VALUE_0": plain,
    }
    return plain, secret


def _git(arguments: list[str], environment: dict[str, str], trouble: str) -> None:
    surroundings = {**os.environ, "GIT_TERMINAL_PROMPT": "0", **environment}
    try:
        done = subprocess.run(git.command(*arguments), env=surroundings, capture_output=True, check=False)
    except FileNotFoundError:
        raise BadInput("git is not installed.", "Install it (package git), or name a folder.") from None
    if done.returncode != 0:
        raise BadInput(f"{trouble}.", "Check the address, the revision, and that you may read it.")
