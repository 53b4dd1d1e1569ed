"""What trainer brings along besides its code: images, templates, the tracking server's files.

In the repository these are folders at the root, which are the one source; the wheel carries a copy
(pyproject.toml, `force-include`).
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parents[1]
_IN_WHEEL, _REPOSITORY = _HERE / "_shipped", _HERE.parents[1]


def place(name: str) -> Path:
    """The folder or file of that name, as in the repository."""
    return (_IN_WHEEL if _IN_WHEEL.is_dir() else _REPOSITORY) / name
