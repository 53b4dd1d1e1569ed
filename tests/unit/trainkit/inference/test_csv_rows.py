from __future__ import annotations

import re

import pytest
from trainkit.errors import InputError
from trainkit.inference import csv_rows


def test_rows_have_their_cells_by_name() -> None:
    text = '\ufeff\nage, plan ,note\r\n20,basic,"a, b"\r\n\r\n ,  plus,"two\nlines"\n,,\n'
    assert csv_rows.read(text.encode(), name="t.csv") == [
        {"age": "20", "plan": "basic", "note": "a, b"},
        {"age": None, "plan": "plus", "note": "two\nlines"},
        {"age": None, "plan": None, "note": None},
    ]


def test_a_comma_is_a_decimal_one_where_semicolons_separate() -> None:
    assert csv_rows.read(b"a;b\n3,14;x,1\n", name="t.csv") == [{"a": "3.14", "b": "x,1"}]


def test_a_column_without_a_name_is_called_as_training_calls_it() -> None:
    assert csv_rows.read(b",a\n0,1\n", name="t.csv") == [{"Unnamed: 0": "0", "a": "1"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv is empty."),
        (b"a,b\n", "t.csv has no rows below its header."),
        (b"a,a\n1,2\n", "t.csv has two columns 'a'."),
        (b"a,b\n1,2\n1\n", "t.csv: row 2 has 1 cells, and the header has 2."),
        (b"a,b\n1,2,3\n", "t.csv: row 1 has 3 cells, and the header has 2."),
        ("a\nJürgen\n".encode("latin-1"), "t.csv is not UTF-8."),
    ],
    ids=["empty", "header", "twice", "short", "long", "latin-1"],
)
def test_what_is_no_csv_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        csv_rows.read(content, name="t.csv")


def test_a_text_may_be_long_as_in_training() -> None:
    assert csv_rows.read(b"a\n" + b"x" * 200_000, name="t.csv") == [{"a": "x" * 200_000}]
