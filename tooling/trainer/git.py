"""git, asked about folders that somebody else may have written: nothing that they configure is executed.

That there is no repository is an answer. That there is one and git is missing, or refuses it because another
user owns it, is a `FileError`: nobody knows then what git would ignore.

A repository's own configuration may name programs: a file system monitor, filters, hooks, ssh. Whoever runs
git by hand trusts it. trainer does not: a project may come from anywhere, and a run may write to what is
mounted into it. The user's and the system's configuration apply as always, with credentials and git-lfs.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from trainer.errors import FileError

_LOG = logging.getLogger(__name__)
# The command line has the last word: over the repository's configuration, and in what git itself starts.
_GUARDED = (
    *("git", "--no-optional-locks"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.pager=cat"),
    *("-c", "protocol.ext.allow=never"),
    *("-c", "safe.bareRepository=explicit"),
)
# Those of a git hook that trainer is called from. The folder alone says which repository is meant.
_OTHERS = {
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"),
}
# What `git status` needs of a repository's configuration to tell what has changed. None names a program.
_HARMLESS = re.compile(
    r"core\.(repositoryformatversion|filemode|symlinks|ignorecase|precomposeunicode|protecthfs|protectntfs"
    r"|autocrlf|eol|checkroundtripencoding|excludesfile|attributesfile|trustctime|checkstat|bigfilethreshold"
    r"|sparsecheckout|sparsecheckoutcone|preloadindex)"
    r"|extensions\.(?!worktreeconfig$)[a-z]+"
    r"|index\.[a-z]+"
    r"|status\.showuntrackedfiles"
)
_NOT_LINKED = {"config", "config.worktree", "hooks"}


def command(*arguments: str) -> list[str]:
    """The command line of git, for what has another environment or another way of failing than `ask`."""
    return [*_GUARDED, *arguments]


def ask(folder: Path, *arguments: str, path: str | None = None) -> str | None:
    """What git says in the folder's repository; None where there is none, and where its answer is no.

    It works at the repository's top. `path`, relative to the folder, is the last argument. Raises `FileError`
    where there is a repository and git cannot be asked, as do all that follow.
    """
    top = work_tree(folder)
    if top is None:
        return None
    pathspec = () if path is None else ("--", f":(literal){_below(top, folder, path)}")
    return _at(top, *arguments, *pathspec)


def check(folder: Path) -> Path | None:
    """Where the folder's work tree begins; None outside of git."""
    ask(folder, "rev-parse", "--is-inside-work-tree")
    return work_tree(folder)


def is_ignored(path: Path) -> bool:
    """Whether git ignores the file. False outside of git."""
    top = work_tree(path.parent)
    if top is None:
        return False
    # Not as `path` of `ask`: it takes the names of files, not patterns for them.
    name = f"./{_below(top, path.parent, path.name)}"
    return ask(top, "check-ignore", "--quiet", "--", name) is not None


def files(folder: Path) -> list[str]:
    """The files below the folder that are tracked or that git does not ignore, relative to the folder.

    Empty outside of git, and where the repository around the folder ignores it.
    """
    listed = ask(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard", path=".")
    top = work_tree(folder)
    if not listed or top is None:
        return []
    prefix = _below(top, folder, ".")
    start = 0 if prefix == "." else len(prefix) + 1
    return [name[start:] for name in listed.split("\0") if name[start:]]


def status(folder: Path) -> str | None:
    """`git status --porcelain=v2 --branch` of the folder; None as in `ask`.

    To compare a file, git passes it through the filters that its attributes name. So git is shown the
    repository with a configuration that holds nothing but what is harmless.
    """
    top = check(folder)  # only a repository that git itself accepts has an answer: it minds who owns it
    listed = ask(folder, "config", "--local", "--includes", "--null", "--list")
    if top is None or listed is None:
        return None
    own = _pointed(top / ".git", "gitdir: ")
    shared = _pointed(own / "commondir") if (own / "commondir").is_file() else own
    with tempfile.TemporaryDirectory(prefix="trainer-git-") as name:
        view = Path(name)
        for entry in shared.iterdir():
            if entry.name not in _NOT_LINKED:
                (view / entry.name).symlink_to(entry)
        (view / "config").write_bytes(os.fsencode(_harmless(listed)))
        variables = {"GIT_DIR": str(own), "GIT_COMMON_DIR": name}
        # Not how far it is ahead of its upstream, which can take long to count. Nor what is in a submodule,
        # whose files do not travel: git would ask git there, by that one's configuration.
        asking = ("status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--no-renames")
        pathspec = ("--ignore-submodules=dirty", "--", f":(literal){_below(top, folder, '.')}")
        return _at(top, *asking, *pathspec, variables=variables)


def _at(top: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> str | None:
    inherited = {name: value for name, value in os.environ.items() if name not in _OTHERS}
    environment = {
        **inherited,
        "LC_ALL": "C",  # its reasons are shown
        # Of a partial clone, git would fetch what is missing, by programs that it names for its remote.
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_TERMINAL_PROMPT": "0",
        # This repository and no other, and its own files, whatever work tree it names.
        "GIT_CEILING_DIRECTORIES": str(top.parent),
        "GIT_WORK_TREE": str(top),
        **(variables or {}),
    }
    _LOG.debug("git -C %s", shlex.join([str(top), *arguments]))
    try:
        done = subprocess.run(command(*arguments), cwd=top, env=environment, capture_output=True, check=False)
    except OSError as error:
        raise _not_asked(top, str(error.strerror)) from None
    if done.returncode not in (0, 1):  # 1: it says no
        raise _not_asked(top, os.fsdecode(done.stderr))
    # A file's name need not be text; this keeps it as it is.
    return os.fsdecode(done.stdout) if done.returncode == 0 else None


def _not_asked(top: Path, stderr: str) -> FileError:
    if shutil.which("git") is None:
        return FileError(
            f"{top} is a git repository, but git is not installed: ignored files are unknown.",
            "Install git, for instance: sudo apt-get install git",
        )
    reason = (stderr.strip().splitlines() or ["no reason given"])[0].removeprefix("fatal: ").rstrip(".")
    command_line = re.search(r"git config --global --add safe\.directory .+", stderr)
    hint = (
        f"If you trust who owns it: {command_line[0]}"
        if command_line
        else f"Repair the repository; `git -C {shlex.quote(str(top))} status` says more."
    )
    return FileError(f"git cannot be asked about {top}: {reason}.", hint)


def work_tree(folder: Path) -> Path | None:
    """Where the work tree begins that the folder is in, or None; git itself may refuse to work there.

    git would take a folder with HEAD, objects/ and refs/ for a bare repository: any project can have these.
    And a run can make a .git in its project. Where the repository around it tracks files of that place, which
    git does not do with a repository in a repository, it is none.
    """
    folder_path = folder.resolve()
    tops = [top for top in (folder_path, *folder_path.parents) if _is_top(top / ".git")]
    real = (inner for inner, outer in pairwise(tops) if not _tracks(outer, inner))
    return next(real, tops[-1] if tops else None)


def _is_top(folder: Path) -> bool:
    if folder.is_dir() and not os.access(folder, os.X_OK):
        return True  # and git will say that it is closed
    return folder.is_file() or os.path.lexists(folder / "HEAD")


def _tracks(outer: Path, inner: Path) -> bool:
    below = inner.relative_to(outer).as_posix()
    try:
        listed = _at(outer, "ls-files", "-z", "--cached", "--", f":(literal){below}") or ""
    except FileError:  # git itself would not ask it either
        return False
    return any(name.startswith(f"{below}/") for name in listed.split("\0"))


def _below(top: Path, folder: Path, path: str) -> str:
    return os.path.relpath(folder.resolve() / path, top)


def _pointed(file: Path, prefix: str = "") -> Path:
    """The folder that a file leads to, as .git does in a submodule or a linked work tree."""
    if file.is_dir():
        return file
    return (file.parent / os.fsdecode(file.read_bytes()).removeprefix(prefix).rstrip("\n")).resolve()


def _harmless(listed: str) -> str:
    """A configuration file with what is harmless of a listed one."""
    lines: list[str] = []
    for entry in listed.split("\0"):
        name, equals, value = entry.partition("\n")
        if _HARMLESS.fullmatch(name):
            section, _, key = name.partition(".")
            quoted = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
            lines.append(f'[{section}]\n{key} = "{quoted}"\n' if equals else f"[{section}]\n{key}\n")
    return "".join(lines)
