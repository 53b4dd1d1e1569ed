"""Which columns a run learns, leaves out and takes for categories: checked by names alone."""

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from trainkit.errors import InputError, did_you_mean

LAST = "last"
"""The word for the last column, where no column has that name."""
NONE = "none"
"""The word for no column, where no column has that name."""


@dataclass(frozen=True)
class Selection:
    """The column to learn, those to leave out, and those whose numbers are names of categories."""

    target: str
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()


def select(
    names: Sequence[str], *, file: str, target: str = LAST, drop: str = NONE, categorical: str = NONE
) -> Selection:
    """The columns that the options name: `target` one, `drop` and `categorical` some, with commas between.

    `names` is the header of `file`. Raises `InputError` for a column that is not there (and names the near
    one), for one that two options name, and where no column is left to learn from.
    """
    left_out = tuple(_column(names, file, "--drop", name) for name in _listed(names, drop))
    learnt = names[-1] if target == LAST and LAST not in names else _target(names, file, target)
    categories = tuple(_column(names, file, "--categorical", name) for name in _listed(names, categorical))
    if learnt in left_out:
        raise InputError(
            f"--drop names {learnt}, which is the target.",
            "Leave it out of --drop, or name another --target.",
        )
    if learnt in categories:
        raise InputError(
            f"--categorical names {learnt}, which is the target.", "Leave it out of --categorical."
        )
    for name in categories:
        if name in left_out:
            raise InputError(f"--drop and --categorical both name {name}.", "Leave it out of one of them.")
    if not set(names) - {learnt, *left_out}:
        raise InputError(
            f"{file} has no column besides {learnt}{' and those of --drop' if left_out else ''}.",
            "It takes one at least to learn from.",
        )
    return Selection(learnt, left_out, categories)


def _target(names: Sequence[str], file: str, text: str) -> str:
    several = _listed(names, text)
    if len(several) > 1 and set(several) <= set(names):
        raise InputError(
            f"--target is {text!r}, which are {len(several)} columns.",
            "A model learns one. Name one of them.",
        )
    return _column(names, file, "--target", text)


def _listed(names: Sequence[str], text: str) -> list[str]:
    """`a, b` as two names, unless it is the name of one; one with a comma may stand in quotation marks."""
    if text in names:
        return [text]
    if text == NONE:
        return []
    listed = next(csv.reader([text], skipinitialspace=True), [])
    return [name.strip() for name in listed if name.strip()]


def _column(names: Sequence[str], file: str, option: str, name: str) -> str:
    if name in names:
        return name
    by_lower = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    raise InputError(
        f"{option} is {name!r}, which is no column of {file}.",
        did_you_mean(by_lower[near[0]]) if near else f"It has {shown}.",
    )
