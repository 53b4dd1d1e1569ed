"""What a run would learn of a table, looked at before it: by trainkit, as in the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from trainkit.errors import InputError

from trainer.errors import InvalidInput
from trainer.projects.mlproject import EntryPoint
from trainer.projects.parameters import CLASSES, QUANTITY, TWO_CLASSES, Parameter

_IMPUTE = ("impute", "median")
# Some seconds' work; of a larger file the run says the same.
_MOST_BYTES = 32 * 2**20


def check(path: Path, entry_point: EntryPoint, values: Mapping[str, str], columns: Mapping[str, str]) -> None:
    """Raises `InvalidInput` for what cannot be learnt from a CSV file, or not with these values.

    `columns` are those of the options of `selection.select` that the entry point has. Nothing is looked at
    unless a parameter declares `target_as`: a script of its own may take what it likes.
    """
    saying = [parameter for parameter in entry_point.parameters if parameter.target_as]
    if not saying or path.stat().st_size > _MOST_BYTES:
        return
    from trainkit.data.table import learnable, target  # pandas, which nothing else of a run needs here

    said = {word for parameter in saying if (word := parameter.target_as.get(values[parameter.name]))}
    name, default = _IMPUTE
    impute = entry_point.parameter(name)
    try:
        found = learnable.read(
            path,
            **columns,
            impute=values[name] if impute and impute.default == default else default,
            classes=said.pop() == CLASSES if len(said) == 1 else None,
            as_classes=_option(saying, CLASSES) or target.AS_CLASSES,
            as_quantity=_option(saying, QUANTITY) or target.AS_QUANTITY,
        )
        for parameter in entry_point.parameters:
            count, value = len(found.target.class_names), values[parameter.name]
            if not _can_learn(parameter, value, count):
                fitting = [choice for choice in parameter.choices if _is_for(parameter, choice, count)]
                raise target.misfit(parameter.option, value, found.name, count, fitting)
    except InputError as error:
        raise InvalidInput(error.message, error.hint) from None


def _option(saying: Iterable[Parameter], word: str) -> str:
    """The option that has the target learnt as that, with its first such value; empty where there is none."""
    fitting = (
        f"{parameter.option} {choice}"
        for parameter in saying
        for choice, learnt in parameter.target_as.items()
        if learnt == word
    )
    return next(fitting, "")


def _can_learn(parameter: Parameter, value: str, classes: int) -> bool:
    needed = parameter.learns.get(value)
    return needed is None or needed in _words(classes)


def _is_for(parameter: Parameter, choice: str, classes: int) -> bool:
    """Whether the choice is one for such a target; `auto` is for none, where others are for one."""
    says = not parameter.target_as or parameter.target_as.get(choice) in _words(classes)
    return says and _can_learn(parameter, choice, classes)


def _words(classes: int) -> tuple[str, ...]:
    """What a target of so many classes is, 0 for a quantity."""
    if not classes:
        return (QUANTITY,)
    return (CLASSES, TWO_CLASSES) if classes == 2 else (CLASSES,)
