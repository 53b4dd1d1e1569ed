"""What a tracking server can store of a run's names: the others are refused before anything is made."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from trainer.errors import InvalidInput

# The columns of MLflow's database. Its own check lets an experiment have 500, which PostgreSQL then refuses.
_LONGEST = {"--experiment": 256, "--run-name": 250, "--tag": 250, "--param": 250}


def check(
    experiment: str, run_name: str | None, tags: Mapping[str, str], parameters: Mapping[str, str]
) -> None:
    """Raises `InvalidInput` for the first name or value that MLflow does not take."""
    check_experiment(experiment)
    if run_name is not None:
        check_run_name(run_name, "Choose a name, or leave --run-name out: one is generated.")
    check_tags(tags)
    _check_pairs("--param", parameters)


def check_experiment(name: str) -> None:
    """Raises `InvalidInput` for a name that MLflow does not take for an experiment."""
    _length("--experiment", name)


def check_run_name(name: str, if_empty: str = "Choose a name.") -> None:
    """Raises `InvalidInput` for a name that MLflow does not take for a run.

    `if_empty` is the hint for a name without a letter.
    """
    _length("--run-name", name)
    if not name.strip():
        raise InvalidInput("A run's name cannot be empty.", if_empty)
    if name.startswith("@"):
        raise InvalidInput(
            f"A run cannot be called {name}: @ begins @last and @best:METRIC.", "Choose another name."
        )


def check_tags(tags: Mapping[str, str]) -> None:
    """Raises `InvalidInput` for the first key or value that MLflow does not take."""
    _check_pairs("--tag", tags)


def _check_pairs(option: str, pairs: Mapping[str, str]) -> None:
    for name, value in pairs.items():
        _length(option, name)
        _text(f"{option} {name}", value)
        # MLflow uses them as paths, too.
        if not re.fullmatch(r"[/\w.\- :]+", name) or not _is_path(name):
            raise InvalidInput(
                f"{option} {name}: MLflow takes no such name.",
                "Use letters, digits, blanks and _ - . : / (not first, last or twice in a row).",
            )


def _length(option: str, name: str) -> None:
    _text(option, name)
    if len(name) > _LONGEST[option]:
        raise InvalidInput(
            f"{option} {name[:30]}… is {len(name)} characters long; MLflow stores {_LONGEST[option]}.",
            "Choose a shorter name.",
        )


def _text(kind: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{kind} is {value!r}, which is not valid text.", "Write it in UTF-8.") from None


def _is_path(name: str) -> bool:
    return posixpath.normpath(name) == name and name != "." and not name.startswith(("..", "/"))
