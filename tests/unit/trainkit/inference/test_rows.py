from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trainkit.data import tables
from trainkit.data.table import columns, csv_file, encoding, preprocessing
from trainkit.inference import csv_rows, rows
from trainkit.inference.description import Category, Date, Index, Number, Table

HEADER = "age,since,plan,town,code,left"


def cells(number: int) -> str:
    age = "" if number == 3 else f"{number / 3:.4f}"
    plan = "" if number % 10 == 4 else ("basic", "plus", "001")[number % 3]
    code = "" if number % 7 == 1 else str(number % 4)
    since = "" if number == 5 else f"{number % 28 + 1:02}.03.2020"
    return f"{age},{since},{plan},w{number % 40},{code},{('yes', 'no')[number % 2]}"


@pytest.mark.parametrize("categories", preprocessing.CATEGORIES)
@pytest.mark.parametrize("impute", ["median", "mean", "most_frequent"])
def test_numbers_are_those_of_the_preprocessing_of_training_to_the_last_bit(
    tmp_path: Path, impute: str, categories: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join([HEADER, *map(cells, range(400))]))
    table = tables.load(path, validation_share=0.25, seed=0, categorical="code", impute=impute)
    transformer = preprocessing.transformer(table.columns, impute, categories)
    fitted = transformer.fit(table.splits["train"].features)
    table_of_model = encoding.read_off(fitted)
    assert [column.kind for column in table_of_model.columns] == [
        "number", "date", "category", "category", "category",
    ]  # fmt: skip
    unseen = "1e3,31.12.1969,gold,w99,17,yes\n1e3,31.12.1969,basic,,1,yes"
    read = csv_rows.read("\n".join([HEADER, *map(cells, range(400)), unseen]).encode(), name="t.csv")
    encoded = rows.encode(read, table_of_model, ignored=["left"])
    assert isinstance(encoded, np.ndarray)
    path.write_text("\n".join([HEADER, *map(cells, range(400)), unseen]))
    again = csv_file.read(path)
    expected = fitted.transform(columns.typed(again, table.columns, path))
    assert encoded.shape[1] == table_of_model.width
    assert np.array_equal(encoded, expected)


def test_an_index_is_a_position_and_what_is_missing_or_unseen_is_below_0() -> None:
    table = Table(
        columns=(Category(name="plan", values=("a", "b")),),
        encoding=(Index(column="plan", categories=("a", "b", None)),),
    )
    encoded = rows.encode([{"plan": plan} for plan in ("b", None, "a", "c")], table)
    assert isinstance(encoded, np.ndarray)
    assert np.array_equal(encoded, [[1], [-1], [0], [-2]])


def test_a_graph_that_takes_columns_gets_them_by_name() -> None:
    table = Table(columns=(Number(name="age"), Category(name="plan", values=("a",)),
                           Category(name="code", values=(1,)), Date(name="d", format="ISO8601")))  # fmt: skip
    encoded = rows.encode(
        [{"age": 1, "plan": "a", "code": "1", "d": "1970-01-02"},
         {"age": None, "plan": None, "code": "", "d": "-"}],
        table,
    )  # fmt: skip
    assert isinstance(encoded, dict)
    assert encoded["plan"].tolist() == [["a"], [""]]
    for name, number in {"age": 1, "code": 1, "d": 86400}.items():
        assert encoded[name].shape == (2, 1)
        assert encoded[name][0, 0] == number
        assert np.isnan(encoded[name][1, 0])
