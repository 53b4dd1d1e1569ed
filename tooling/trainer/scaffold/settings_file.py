"""trainer.yaml as a new workspace has it: every setting with its meaning and default."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from dataclasses import fields

import yaml

from trainer.workspace.settings import Settings

_HEAD = """\
# Settings of this workspace; none of them is a secret. Each line that is commented out says the default.
"""
_WIDTH = 110


def text() -> str:
    """Made of `Settings` and what is written there below each field, so it has every setting."""
    meanings, defaults = _meanings(), Settings()
    parts = [_HEAD]
    for setting in fields(Settings):
        meaning = textwrap.fill(
            meanings[setting.name],
            _WIDTH,
            initial_indent="# ",
            subsequent_indent="# ",
            break_on_hyphens=False,
        )
        value = getattr(defaults, setting.name)
        default = "" if value is None else yaml.safe_dump(value).splitlines()[0]
        parts.append(f"{meaning}\n# {setting.name}: {default}".rstrip() + "\n")
    return "\n".join(parts)


def _meanings() -> dict[str, str]:
    """Setting → the string below it in the source, which is all that Python keeps of it."""
    (declared,) = ast.parse(inspect.getsource(Settings)).body
    body = declared.body if isinstance(declared, ast.ClassDef) else []
    meanings: dict[str, str] = {}
    for before, after in itertools.pairwise(body):
        match before, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                meanings[name] = inspect.cleandoc(meaning)
    return meanings
