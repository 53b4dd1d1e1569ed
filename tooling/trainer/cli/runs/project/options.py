"""The parameters of a project as options of a command."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping

import click
from click.shell_completion import CompletionItem

from trainer.datasets import catalog
from trainer.datasets.tables import header
from trainer.datasets.tables import parameters as table_parameters
from trainer.errors import TrainerError
from trainer.plan import parameter_values
from trainer.projects.mlproject import EntryPoint, Project
from trainer.projects.parameters import Parameter
from trainer.workspace.settings import find

# Where `ctx.meta` has the project with its entry point.
PROJECT = "trainer.project"
PREFIX = "parameter_"


def chosen_values(
    project: Project, entry_point: EntryPoint, given: Mapping[str, str], options: Mapping[str, object]
) -> dict[str, str]:
    """The values of parameters that were `given` with -P, and those among the command's options.

    Raises `InvalidInput` for a parameter that has two.
    """
    values = parameter_values.named(project, entry_point, given)
    for parameter in entry_point.parameters:
        value = options.get(variable(parameter))
        if value is not None and parameter.name in values:
            raise parameter_values.duplicate_parameter(parameter.name)
        if value is not None:
            values[parameter.name] = str(value)
    return values


def option(parameter: Parameter) -> click.Option:
    """The option: any text, of which completion knows what is meant."""
    facts = [f"{limit:.15g} at {side}" for limit, side in
             ((parameter.minimum, "least"), (parameter.maximum, "most")) if limit is not None]  # fmt: skip
    facts.append("required" if parameter.default is None else f"default: {parameter.default}")
    made = click.Option(
        [f"--{variable(parameter)}", variable(parameter)],
        metavar=_metavar(parameter),
        help=f"{parameter.help.rstrip('.')}{'.' if parameter.help else ''}  [{'; '.join(facts)}]".strip(),
        type=_Value(parameter),
        multiple=True,
        callback=_one,
    )
    made.opts = [parameter.option]  # as a declaration, click would take a / or ; in it for two options
    return made


def _metavar(parameter: Parameter) -> str:
    if not parameter.choices:
        return parameter.type.upper()
    return f"[{'|'.join([*parameter.choices, *(['DATASET'] if parameter.dataset else [])])}]"


def _one(_: click.Context, option: click.Parameter, values: tuple[str, ...]) -> str | None:
    """The value, if there is one: of several, it is unclear which is meant."""
    if len(values) > 1:
        raise parameter_values.duplicate_parameter(option.opts[0])
    return values[0] if values else None


def variable(parameter: Parameter) -> str:
    """The name under which click hands the parameter's value over."""
    return PREFIX + re.sub(r"[^\w-]", lambda found: f"_{ord(found[0])}_", parameter.name).replace("-", "_")


class _Value(click.ParamType[str]):
    """Any text: the domain checks it, so that `mlflow run` has the same checks. Completes the choices."""

    name = "value"

    def __init__(self, parameter: Parameter) -> None:
        self._parameter = parameter

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The choices; files and folders for a path; what is in data/ for a dataset; a table's columns."""
        if self._parameter.type == "path":
            return [CompletionItem(incomplete, type="file")]
        names = list(self._parameter.choices)
        if self._parameter.dataset:
            with contextlib.suppress(TrainerError):
                names += catalog.datasets(find())
        if self._parameter.column_of:
            return self._columns(ctx, incomplete)
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]

    def _columns(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The columns of the table that was named before, or is the default, after the last comma."""
        before, comma, last = incomplete.rpartition(",")
        _, entry_point = ctx.meta[PROJECT]
        given = {p.name: str(value) for p in entry_point.parameters if (value := ctx.params.get(variable(p)))}
        with contextlib.suppress(TrainerError):
            path = table_parameters.table(find(), entry_point, self._parameter, given)
            columns = (header.columns(path) if path else None) or ()
            return [CompletionItem(before + comma + name) for name in columns if name.startswith(last)]
        return []
