from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from trainkit.data.table import columns, csv_file
from trainkit.data.table.columns import Column
from trainkit.errors import InputError


def table(**cells: Sequence[str]) -> pd.DataFrame:
    """Empty cells are missing, as in a file."""
    frame = pd.DataFrame(cells, dtype=str)
    return frame.mask(frame == "")


def one(cells: Sequence[str], name: str = "x", *, categorical: bool = False) -> Column:
    [column] = columns.describe(table(**{name: cells}), categorical=[name] if categorical else [])
    return column


def every(pattern: str, rows: int = 30) -> list[str]:
    return [pattern.format(i=i, day=i % 28 + 1, month=i % 12 + 1, word="abc"[i % 3]) for i in range(rows)]


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("x", every("{i}.5"), "number"),
        ("income", every("{i}"), "number"),
        ("humid", every("{i}.25"), "number"),
        ("x", every("-{i}e3"), "number"),
        ("x", every("{word}"), "category"),
        ("x", ["yes", ""] * 10, "category"),
        ("x", every("00{i}"), "id"),
        ("x", every("C-{i}"), "id"),
        ("mail", every("a{i}@b.org"), "id"),
        ("customer_id", every("{i}"), "id"),
        ("customerID", every("{i}"), "id"),
        ("PassengerId", every("{i}"), "id"),
        ("user id", every("{i}", 20) * 2, "number"),
        ("id", every("{i}", 20) + every("{i}", 10), "id"),
        ("region_id", every("{i}", 3) * 10, "number"),
        ("paid", every("{i}"), "number"),
        ("Unnamed: 0", every("{i}"), "id"),
        ("x", ["1"] * 5, "constant"),
        ("x", [""] * 5, "constant"),
        ("x", every("seen {i} times"), "text"),
        ("x", every("2020-{month:02}-{day:02}"), "date"),
        ("x", every("2020-{month:02}-{day:02}T10:00:00Z"), "date"),
        ("x", every("2020-{month:02}-{day:02} 10:00:00.5"), "date"),
        ("x", every("2020-{month:02}"), "date"),
        ("x", every("{day}.{month}.2020"), "date"),
        ("x", every("{day:02}/{month:02}/2020"), "date"),
        ("x", every("{month:02}/{day:02}/2020 10:30"), "date"),
        ("x", every("{day} Mar 2020"), "date"),
        ("x", every("March {day}, 2020"), "date"),
        ("x", every("2020"), "constant"),
        ("year", every("20{day:02}"), "number"),
        ("x", every("+31 6 1234{i}"), "text"),
    ],
)
def test_the_kind_of_a_column_is_seen(name: str, cells: list[str], kind: str) -> None:
    column = one(cells, name)
    assert (column.kind, column.mistake) == (kind, None)
    assert bool(column.left_out) == (column.kind in ("id", "constant", "text"))


def test_day_and_month_are_told_apart_by_the_cells() -> None:
    assert one(every("{day:02}/{month:02}/2020")).date_format == "%d/%m/%Y"
    assert one(every("{month:02}/{day:02}/2020")).date_format == "%m/%d/%Y"


def test_words_for_missing_are_missing_among_numbers_and_dates_and_words_among_words() -> None:
    assert one(["1", "2.5", "NA", "", "n/a", "7"]).missing == 3
    assert one([*every("2020-01-{day:02}"), "null"]).missing == 1
    countries = one(["NA", "NL", "NA", "NL", "", "NL"])
    assert (countries.kind, countries.missing, countries.distinct) == ("category", 1, 2)


def test_categories_can_be_numbers_that_the_user_says_are_names() -> None:
    column = one(["1", "2", "", "1"] * 5, categorical=True)
    assert (column.kind, column.coded, column.distinct, column.missing) == ("category", True, 2, 5)
    frame = columns.typed(table(x=["1", "2", "", "1"]), [column], Path("x.csv"))
    assert frame["x"].tolist()[:2] == [1.0, 2.0]
    words = one(["1", "b", "", "1"] * 5, categorical=True)
    assert (words.kind, words.coded) == ("category", False)


def test_many_words_are_categories_where_each_is_there_often() -> None:
    assert one(every("town{i}", 60) * 6).kind == "category"
    assert one(every("town{i}", 60) * 2).left_out == "text, 60 different in 120 rows"


def test_a_column_says_why_it_is_left_out() -> None:
    frame = table(id=every("{i}"), a=every("{i}.5"), same=["x"] * 30, y=every("{word}"), b=every("{word}"))
    described = columns.describe(frame, "y", drop=["b"])
    assert {column.name: column.left_out for column in described} == {
        "id": "an id, 30 different in 30 rows",
        "a": "",
        "same": "the same everywhere",
        "y": "the target",
        "b": "--drop",
    }
    assert [column.name for column in columns.features(described)] == ["a"]


def test_the_columns_to_learn_from_are_typed() -> None:
    frame = table(a=["1", "NA", "3"] * 4, w=["u", "", "v"] * 4, d=["2020-01-02", "-", "2021-03-04"] * 4)
    typed = columns.typed(frame, columns.describe(frame), Path("x.csv"))
    assert typed["a"].dtype == "float64"
    assert typed.isna().sum().to_dict() == {"a": 4, "w": 4, "d": 4}
    assert typed.loc[2].tolist() == [3.0, "v", "2021-03-04"]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [([*every("{i}.5"), "red"], "number"), ([*every("2020-01-{day:02}"), "2020-02-30"], "date")],
)
def test_a_mistake_among_numbers_or_dates_is_refused_with_its_line(
    tmp_path: Path, cells: list[str], kind: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("x\n\n" + "\n".join(cells))
    frame = csv_file.read(path)
    with pytest.raises(InputError) as caught:
        columns.typed(frame, columns.describe(frame), path)
    said = f"x.csv: column 'x' has {cells[-1]!r} in line 33, which is no {kind}."
    assert (caught.value.message, caught.value.hint) == (
        said,
        "Correct it, or use --drop x or --categorical x.",
    )


def test_infinity_is_no_number() -> None:
    assert one([*every("{i}.5"), "inf"]).mistake == (31, "inf")


def test_a_table_of_nothing_but_ids_is_refused() -> None:
    frame = table(id=every("{i}"), y=every("{word}"))
    with pytest.raises(InputError) as caught:
        columns.typed(frame, columns.describe(frame, "y"), Path("x.csv"))
    assert caught.value.message == ("x.csv has no column to learn from: id (an id, 30 different in 30 rows).")
