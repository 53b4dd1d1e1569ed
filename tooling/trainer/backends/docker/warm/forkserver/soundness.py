"""What may be imported before a fork, and whether a fork would be what a new process is."""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib.machinery
import importlib.util
import sys
import threading
from pathlib import Path
from typing import NamedTuple


class Refused(Exception):
    """The order is for a container of its own, and why."""


class Imported(NamedTuple):
    """What was imported, and what this process was like then."""

    statements: str
    threads: int


def first_imports(source: str) -> list[ast.stmt]:
    """The statements that a script begins with and that import what is installed, in their order.

    They end where anything else is done: it may change what the next import does. Raises `SyntaxError`.
    """
    found: list[ast.stmt] = []
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            names = [statement.module or ""]
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring
        else:
            break
        if not all(_is_installed(name.partition(".")[0]) for name in names):
            break
        if names != ["__future__"]:
            found.append(statement)
    return found


def _is_installed(name: str) -> bool:
    if name in sys.modules:
        return name != "__main__"
    with contextlib.suppress(ImportError, ValueError):
        return importlib.util.find_spec(name) is not None
    return False


def warm_up(source: str) -> Imported:
    """Import what the script imports first. Raises `Refused` where this process cannot be forked then."""
    try:
        statements = first_imports(source)
    except SyntaxError as error:
        raise Refused(f"the script cannot be read: {error}") from None
    text = ast.unparse(ast.Module(statements, []))
    try:
        exec(compile(text, "<imports>", "exec", dont_inherit=True), {"__name__": "__imports__"})  # noqa: S102 (the script's own)
    except BaseException as error:  # noqa: BLE001 (whatever it is, it happens in a container of its own too)
        raise Refused(f"its imports fail: {type(error).__name__}: {error}") from None
    gc.collect()
    gc.freeze()
    return Imported(text, _threads())


def check(imported: Imported) -> None:
    """Raise `Refused` where a fork of this process would not be what a new one is."""
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate()[1:])
        raise Refused(f"what it imports has started threads ({names})")
    if (now := _threads()) > imported.threads:
        raise Refused(f"the interpreter has {now} threads, {imported.threads} when all was imported")
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()).startswith("/dev/nvidia"):
                raise Refused("what it imports has opened a GPU")


def _threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def check_script(path: Path, imported: Imported) -> None:
    """Raise `Refused` for a script that would have imported something else."""
    try:
        text = ast.unparse(ast.Module(first_imports(path.read_text("utf-8")), []))
    except (OSError, SyntaxError, ValueError) as error:
        raise Refused(f"the script cannot be read: {error}") from None
    if text != imported.statements:
        raise Refused("the script's imports are others than they were")
    for entry in path.parent.iterdir():
        name, dot, suffix = entry.name.partition(".")
        is_module = dot + suffix in importlib.machinery.all_suffixes() or (entry / "__init__.py").exists()
        if is_module and name in sys.modules and entry != path:
            raise Refused(f"the project has a module of its own that is called {name}")
