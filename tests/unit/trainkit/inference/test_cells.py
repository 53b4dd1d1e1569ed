from __future__ import annotations

import re

import pandas as pd
import pytest
from trainkit.errors import InputError
from trainkit.inference import cells
from trainkit.inference.cells import Unseen
from trainkit.inference.description import Category, Date, Number, Table

TABLE = Table(
    columns=(
        Number(name="age"),
        Date(name="since", format="%d.%m.%Y"),
        Category(name="plan", values=("001", "basic")),
        Category(name="code", values=(1.0, 2.0)),
    )
)
ROW = {"age": 20, "since": "05.03.2020", "plan": "basic", "code": 1}


def read(**changed: object) -> dict[str, object]:
    return {name: column[0] for name, column in cells.read([ROW | changed], TABLE).items()}


def refusal(*rows: dict[str, object]) -> InputError:
    with pytest.raises(InputError) as refused:
        cells.read(rows, TABLE)
    return refused.value


def test_a_row_of_text_says_the_same_as_one_of_numbers() -> None:
    as_numbers = {"age": 20.0, "since": 1583366400.0, "plan": "basic", "code": 1.0}
    assert read() == as_numbers
    assert read(age=" 2e1", code="1.0", since=" 05.03.2020 ", plan="basic ") == as_numbers


@pytest.mark.parametrize("missing", [None, float("nan"), "", "  ", "NA", "?", "null"])
def test_a_missing_number_or_date_is_none_however_it_is_written(missing: object) -> None:
    assert [read(**{name: missing})[name] for name in ("age", "since", "code")] == [None, None, None]


def test_a_word_is_missing_where_its_cell_is_empty_only() -> None:
    assert [read(plan=plan)["plan"] for plan in (None, "", " ", "NA", 5, True)] == [
        None, None, None, "NA", "5", "True",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"age": "old"}, "Row 2: column 'age' has 'old', which is no number."),
        ({"age": "1_000"}, "Row 2: column 'age' has '1_000', which is no number."),
        ({"age": "1e999"}, "Row 2: column 'age' has '1e999', which is no number."),
        ({"age": 10**400}, f"Row 2: column 'age' has 1{'0' * 39}…, which is no number."),
        ({"age": float("inf")}, "Row 2: column 'age' has inf, which is no number."),
        ({"age": True}, "Row 2: column 'age' has True, which is no number."),
        ({"age": [1]}, "Row 2: column 'age' has [1], which is no number."),
        ({"since": "2020-03-05"}, "Row 2: column 'since' has '2020-03-05', which is no date."),
        ({"since": 20200305}, "Row 2: column 'since' has 20200305, which is no date."),
        ({"code": "one"}, "Row 2: column 'code' has 'one', which is no category."),
        ({"plan": {"a": 1}}, "Row 2: column 'plan' has {'a': 1}, which is no category."),
    ],
)
def test_a_cell_that_is_a_mistake_is_named_with_its_row(changed: dict[str, object], message: str) -> None:
    assert refusal(ROW, ROW | changed).message == message


def test_the_hint_shows_how_a_date_is_written() -> None:
    assert refusal(ROW | {"since": "x"}).hint == "Write it like 31.03.2026, or leave the cell empty."


def test_a_missing_and_an_extra_column_are_named() -> None:
    short = {name: cell for name, cell in ROW.items() if name != "plan"}
    assert refusal(ROW, short).message == "Row 2 has no column 'plan'."
    assert refusal(ROW, short).hint == "The model takes age, since, plan, code, in any order."
    extra = refusal(ROW | {"id": 7})
    assert extra.message == "Row 1 has a column 'id', which the model does not take."
    assert cells.read([ROW | {"id": 7}], TABLE, ignored=["id"]).keys() == ROW.keys()


def test_categories_that_training_has_not_seen_are_found() -> None:
    rows = [ROW, ROW | {"plan": "gold", "code": 3}, ROW | {"plan": None}]
    found = list(cells.unseen(cells.read(rows, TABLE), TABLE))
    assert found == [Unseen(2, "plan", "gold"), Unseen(2, "code", 3.0)]


WRITTEN = (
    "2020-03-05", "2020-03", "2020-3-5", "2020/03/05", "20200305", "2020-03-05T10:11:12Z", "2020-03-05 10:11",
    "2020-03-05T10:11:12.5", "2020-03-05T10:11:12.123456789", "1960-01-01T00:00:00.5", "0001-01-01",
    "1969-12-31T23:59:59.999", "2020-03-05T10:11:12+02:00", "2020-03-05T10:11:12-05", "2020-02-30",
    "5.3.2020", "05.03.2020", "03/05/2020", "13/05/2020", "05 Mar 2020", "mar 5, 2020", "March 05, 2020",
    "9999-12-31",
)  # fmt: skip


@pytest.mark.parametrize(
    "date_format", ["ISO8601", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d %b %Y", "%b %d, %Y", "%B %d, %Y"]
)
def test_a_date_is_the_second_that_training_has(date_format: str) -> None:
    table = Table(columns=(Date(name="d", format=date_format),))
    for written in WRITTEN:
        # One by one: pandas gives up the year 9999 beside a nanosecond.
        time = pd.to_datetime(written, format=date_format, errors="coerce", utc=True)
        if pd.isna(time):
            with pytest.raises(InputError, match=re.escape(repr(written))):
                cells.read([{"d": written}], table)
        else:
            assert cells.read([{"d": written}], table) == {"d": [time.timestamp() // 1]}
