"""Whether one model can take the place of another, as its clients see it."""

from collections.abc import Iterator

from trainkit.inference.description import Date, Description, Images, Table


def difference(before: Description, after: Description) -> str | None:
    """What `after` takes or answers otherwise than `before`; None where clients need no change."""
    return next(_differences(before, after), None)


def _differences(before: Description, after: Description) -> Iterator[str]:
    if before.task != after.task:
        yield f"it is a {after.task}, not a {before.task}"
    if before.input.kind != after.input.kind:
        yield f"it takes {_inputs(after)}, not {_inputs(before)}"
    if isinstance(before.input, Images) and isinstance(after.input, Images):
        if before.input.size != after.input.size:
            yield f"it takes images of {after.input.size} pixels, not of {before.input.size}"
    elif isinstance(before.input, Table) and isinstance(after.input, Table):
        yield from _columns(before.input, after.input)
    if before.classes != after.classes:
        yield f"its classes are {_listed(after.classes)}, not {_listed(before.classes)}"


def _columns(before: Table, after: Table) -> Iterator[str]:
    old, new = ({column.name: column for column in table.columns} for table in (before, after))
    if more := [name for name in new if name not in old]:
        yield f"it takes the column {_listed(more)} too"
    if fewer := [name for name in old if name not in new]:
        yield f"it does not take the column {_listed(fewer)}"
    for name, column in new.items():
        if column.kind != old[name].kind:
            yield f"its column {name} is a {column.kind}, not a {old[name].kind}"
        other = old[name]
        if isinstance(column, Date) and isinstance(other, Date) and column.format != other.format:
            yield f"its column {name} has dates as {column.format}, not as {other.format}"
    if list(old) != list(new):
        yield "its columns are in another order"


def _inputs(model: Description) -> str:
    return "images" if isinstance(model.input, Images) else "rows"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    most = 8
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
