"""What was done with the columns of a table, in words for the log and as data for an artifact."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby

from trainkit.data.table.columns import Column
from trainkit.data.table.preprocessing import MOST_CATEGORIES, ONE_HOT
from trainkit.data.tables import Table

_ALL_SHOWN = 20
_MOST_LINES = 40
_MOST_CLASSES = 6
# Of letters in a name, and in a line.
_WIDEST = 24
_WIDTH = 80


def text(table: Table) -> str:
    """A line for each column, or for many of the same kind: its missing cells, and what is done with it."""
    groups = [list(group) for _, group in groupby(table.columns, lambda c: _treatment(table, c))]
    if len(table.columns) <= _ALL_SHOWN:
        groups = [[column] for column in table.columns]
    rows = [("column", "kind", "missing", "what is done with it"), *(_row(table, group) for group in groups)]
    wide = [max(len(row[place]) for row in rows) for place in range(3)]
    lines = [
        _cut(f"{name:<{wide[0]}}  {kind:<{wide[1]}}  {missing:>{wide[2]}}  {done}", _WIDTH)
        for name, kind, missing, done in rows[: _MOST_LINES + 1]
    ]
    if len(rows) > len(lines):
        lines.append(f"… and {len(rows) - len(lines)} more: columns.json")
    if table.unlabelled:
        rows_are = "1 row has" if table.unlabelled == 1 else f"{table.unlabelled:,} rows have"
        lines.append(f"{rows_are} no {table.target}: left out")
    return "\n".join(lines)


def data(table: Table) -> dict[str, object]:
    """The same for `mlflow.log_dict`: each column with its kind, missing and distinct cells."""
    return {
        "target": table.target,
        "classes": list(table.class_names),
        "rows": {split: len(rows) for split, rows in table.splits.items()},
        "rows_without_target": table.unlabelled,
        "impute": table.impute,
        "categories": table.categories,
        "columns": [asdict(column) | {"treatment": _treatment(table, column)} for column in table.columns],
    }


def _row(table: Table, group: list[Column]) -> tuple[str, str, str, str]:
    first, last = group[0], group[-1]
    name = _short(first.name) if len(group) == 1 else f"{_short(first.name)} … {_short(last.name)}"
    missing = sum(column.missing for column in group)
    kind = "target" if first.name == table.target else first.kind
    done = _treatment(table, first) + (f" ({len(group)} columns)" if len(group) > 1 else "")
    return name, kind, f"{missing:,}" if missing else "-", done


def _treatment(table: Table, column: Column) -> str:
    if column.name == table.target:
        shown = ", ".join(_short(name) for name in table.class_names[:_MOST_CLASSES])
        more = ", …" if len(table.class_names) > _MOST_CLASSES else ""
        return f"{len(table.class_names)} classes: {shown}{more}" if table.class_names else "a quantity"
    if column.left_out:
        return f"left out: {column.left_out}"
    return ", ".join(_steps(table, column))


def _steps(table: Table, column: Column) -> Iterator[str]:
    if column.kind == "category":
        yield f"{table.categories}, {column.distinct} categories"
        if column.distinct > MOST_CATEGORIES and table.categories == ONE_HOT:
            yield f"the rarest {column.distinct - MOST_CATEGORIES + 1} as one"
        if column.missing:
            yield "missing as one more"
        return
    if column.kind == "date":
        yield "seconds since 1970" if column.date_format == "ISO8601" else f"read as {column.date_format}"
    if column.missing:
        yield f"{table.impute.replace('_', ' ')} where missing"
    yield "scaled"


def _short(name: str) -> str:
    return _cut(" ".join(name.split()), _WIDEST)


def _cut(words: str, width: int) -> str:
    return words if len(words) <= width else words[: width - 1] + "…"
