"""Where a project comes from: a name under train_code/, a folder, or a git repository."""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from trainer import git, locks
from trainer.errors import InvalidInput, TrainerError
from trainer.projects import mlproject
from trainer.projects.parameters import nearest
from trainer.workspace import resources, unfinished
from trainer.workspace.settings import Workspace
from trainer.workspace.unfinished import CLONE

_LOG = logging.getLogger(__name__)
_GIT = re.compile(r"(git@|ssh://|https?://|git://|file://)")
# What git prints beside the reason of a failure.
_NO_REASON = re.compile(
    r"fatal: Could not read from remote repository\.|Please make sure you have .*|and the repository exists\."
    r"|(?i:warning: .*)|hint: .*|@+"
)
_PREFIX = re.compile(r"(?i:fatal|error|remote): (unable to access '.*?': )?")


@dataclass(frozen=True)
class Source:
    """A project's folder. `name` is what to record of where it came from: no password is in it."""

    name: str
    folder: Path
    close: Callable[[], None] = lambda: None
    """Removes what was fetched."""
    commit: str = ""
    """Of what was fetched."""
    clone: Path | None = None
    """The temporary folder that it was fetched into."""

    def name_in(self, error: TrainerError) -> None:
        """Have the failure name the URL where it names the temporary clone (`URL#PATH`)."""
        if self.clone:
            error.message = self._named(error.message)
            error.hint = self._named(error.hint)

    def _named(self, text: str) -> str:
        url = self.name.partition("#")[0]
        return text.replace(f"{self.clone}/", f"{url}#").replace(str(self.clone), url)


def names(workspace: Workspace) -> list[str]:
    """The projects of the workspace."""
    return sorted(path.name for path in workspace.projects.glob("*") if mlproject.project_file(path))


def is_remote(name: str) -> bool:
    """Whether this names a git repository to be fetched."""
    return _GIT.match(name) is not None


def resolve(workspace: Workspace, name: str, revision: str | None = None, *, fetch: bool = True) -> Source:
    """The project that the user named. Raises `InvalidInput` with the nearest name.

    A git URL (`URL#subfolder`, as in MLflow) is fetched into a temporary folder unless `fetch` is false.
    """
    if not name:  # as a path, it would be the current folder
        raise InvalidInput("The project's name is empty.", "Specify a project, a folder, or a git URL.")
    if is_remote(name):
        if not fetch:
            raise InvalidInput(f"{name} is not here.", "Fetch it first.")
        return _fetch(workspace, name, revision)
    if revision:
        raise InvalidInput(
            f"--version needs a git URL, and {name} is not one.", "Check the revision out yourself."
        )
    if name in names(workspace):
        return Source(f"train_code/{name}", workspace.projects / name)
    folder = Path(name)
    if not folder.is_dir() and "#" in name:  # FOLDER#SUBFOLDER, as of a git URL
        folder = Path(*name.split("#", 1))
    if folder.is_dir():
        path = folder.resolve()
        inside = path.is_relative_to(workspace.root)
        return Source(str(path.relative_to(workspace.root) if inside else path), path)
    if name.endswith(".zip") and folder.is_file():
        raise InvalidInput(f"{name} is an archive.", "Unpack it and name the folder.")
    raise InvalidInput(
        f"There is no project {name}.",
        _instead(workspace, name),
    )


def _instead(workspace: Workspace, name: str) -> str:
    template = resources.place("templates") / name
    if (template / mlproject.PROJECT_FILE).is_file():
        # The template's own name may be an image's too, which no project can have.
        return f"Make one from the template {name}: trainer new my_{name} --template {name}"
    if project_names := names(workspace):
        return nearest(name, project_names, "The projects are")
    return "Make one: trainer new NAME --template minimal (`trainer new --help` names the other templates)"


def _fetch(workspace: Workspace, url: str, revision: str | None) -> Source:
    repository, _, subfolder = url.partition("#")
    plain, environment = _without_credentials(repository)
    stack = ExitStack()
    home = _new_home(workspace, stack)
    # A project without a name of its own is called like its folder.
    repository_folder = home / (re.sub(r"\.git$", "", plain.rstrip("/").rpartition("/")[2]) or "clone")

    try:
        _git(["clone", "--quiet", plain, str(repository_folder)], environment, f"{plain} cannot be cloned")
        if revision:
            checkout = ["-C", str(repository_folder), "checkout", "--quiet", revision]
            _git(checkout, environment, f"{plain}: {revision} cannot be checked out")
        folder = (repository_folder / subfolder).resolve()
        if not folder.is_relative_to(repository_folder.resolve()) or not folder.is_dir():
            raise InvalidInput(f"{plain} has no folder {subfolder}.", "Specify a folder of it: URL#FOLDER")
        commit = (git.ask(repository_folder, "rev-parse", "--verify", "--quiet", "HEAD") or "").strip()
    except BaseException:
        stack.close()
        raise
    name = f"{plain}#{subfolder}" if subfolder else plain
    return Source(name, folder, stack.close, commit, repository_folder.resolve())


def _new_home(workspace: Workspace, stack: ExitStack) -> Path:
    """A folder for a clone, until the stack is closed. Those of processes that were killed are removed."""
    workspace.state.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(workspace.state / "sources.lock"):
        for old in unfinished.parent(workspace, CLONE).glob(f"{CLONE}*"):
            if not locks.is_used(old):
                shutil.rmtree(old, ignore_errors=True)
        return stack.enter_context(unfinished.folder(workspace, CLONE))


def _without_credentials(url: str) -> tuple[str, dict[str, str]]:
    """The URL without user and password, and an environment that has git use them.

    On a command line they would be seen in `ps`, and git would write them into .git/config.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidInput(
            "The git URL is not valid.", "https://HOST/PATH.git, or https://HOST/PATH.git#FOLDER"
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
    # Untranslated, for what it says to be recognized.
    surroundings = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **environment}
    _LOG.debug("git %s", shlex.join(arguments))
    try:
        process = subprocess.run(git.command(*arguments), env=surroundings, capture_output=True, check=False)
    except FileNotFoundError:
        raise InvalidInput("git is not installed.", "Install it (package git), or name a folder.") from None
    if process.returncode != 0:
        reason = _reason(_hidden(process.stderr.decode(errors="replace"), environment))
        raise InvalidInput(
            f"{trouble}{f': {reason}' if reason else ''}.",
            "Check the URL, the revision, and that you have access to the repository.",
        )


def _hidden(text: str, environment: dict[str, str]) -> str:
    """What git said, without the credentials that it was given."""
    url = environment.get("GIT_CONFIG_KEY_0", "").removeprefix("url.").removesuffix(".insteadOf")
    parts = urlsplit(url)
    own, password = parts.netloc.rpartition("@")[0], parts.password or ""
    for secret in filter(None, (own, password, unquote(password))):
        text = text.replace(secret, "***")
    return text


def _reason(stderr: str) -> str:
    """Why git failed, of all that it said: its own error, else what ssh or the server said before it."""
    lines = [line.strip() for line in stderr.splitlines()]
    reasons = [line for line in lines if line and not _NO_REASON.fullmatch(line)]
    errors = [line for line in reasons if line.startswith(("fatal: ", "error: "))]
    chosen = (errors or reasons[-1:] or [""])[0]
    return _PREFIX.sub("", chosen, count=1).rstrip(".")
