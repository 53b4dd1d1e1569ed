from __future__ import annotations

import pytest
from trainkit.inference import cells, example
from trainkit.inference.description import Category, Column, Date, Encoded, Number, OneHot, Scaled, Table

COLUMNS: tuple[Column, ...] = (
    Number(name="age"),
    Number(name="income"),
    Date(name="joined", format="%d.%m.%Y"),
    Date(name="left", format="ISO8601"),
    Category(name="plan", values=("basic", "family")),
    Category(name="floor", values=(1.0, 2.0)),
    Category(name="city", values=()),
)


def scaled(column: str, mean: float, missing: float | None = None) -> Scaled:
    return Scaled(column=column, mean=mean, missing=missing, deviation=1)


def test_a_row_to_begin_with_has_what_is_usual_and_can_be_read() -> None:
    encoding: tuple[Encoded, ...] = (
        scaled("age", 41.2, missing=39.0),
        scaled("income", 31234.567),
        scaled("joined", 1.6e9),
        scaled("left", 1.7e9),
        *(OneHot(column=name, categories=()) for name in ("plan", "floor", "city")),
    )
    table = Table(columns=COLUMNS, encoding=encoding)
    row = example.row(table)
    assert row == {
        "age": 39,
        "income": 31200,
        "joined": "13.09.2020",
        "left": "2023-11-14",
        "plan": "basic",
        "floor": 1,
        "city": None,
    }
    assert cells.read([row], table)["age"] == [39]


def test_what_the_model_does_not_say_is_made_up() -> None:
    table = Table(columns=COLUMNS)
    row = example.row(table)
    assert (row["age"], row["joined"], row["left"]) == (1, "31.03.2026", "2026-03-31")
    assert cells.read([row], table)["floor"] == [1]


@pytest.mark.parametrize("mean", [1e18, -1e18, 1e300])
def test_a_mean_that_is_no_day_is_left_aside(mean: float) -> None:
    columns = (Date(name="left", format="ISO8601"),)
    assert example.row(Table(columns=columns, encoding=(scaled("left", mean),))) == {"left": "2026-03-31"}
