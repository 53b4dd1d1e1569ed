"""What is said of each column of a table, and the pictures of it."""

from pathlib import Path

import pytest
from PIL import Image
from trainer.datasets.tables import statistics
from trainer.datasets.tables.statistics import ColumnStats
from trainer.errors import InvalidInput

from unit.helpers import fails, put


def customers(tmp_path: Path) -> Path:
    rows = ["id;since;city;spent;calls;note;churned"]
    for n in range(40):
        city, churned = ("Bonn", "Ulm", "")[n % 3], "yn"[n % 5 % 2]
        rows.append(f"C{n};{1 + n % 28}.02.2026;{city};{n},5;{n % 4};words and words {n};{churned}")
    return put(tmp_path / "customers.csv", "\ufeff" + "\r\n".join(rows))


def test_each_column_in_numbers(tmp_path: Path) -> None:
    measured = statistics.measure(statistics.read(customers(tmp_path), "churned"))
    assert measured.rows == 40
    assert measured.columns == (
        ColumnStats("id", "id", 0, 40),
        ColumnStats("since", "date", 0, 28, "2026-02-01", "2026-02-11", "2026-02-28"),
        ColumnStats("city", "category", 13, 2, top=(("Bonn", 14), ("Ulm", 13))),
        ColumnStats("spent", "number", 0, 40, "0.5", "20", "39.5"),
        ColumnStats("calls", "number", 0, 4, "0", "1.5", "3"),
        ColumnStats("note", "text", 0, 40),
        ColumnStats("churned", "category", 0, 2, top=(("y", 24), ("n", 16))),
    )
    assert measured.classes == (("y", 24), ("n", 16))
    assert statistics.measure(statistics.read(customers(tmp_path), "spent")).classes == ()
    assert len(statistics.measure(statistics.read(customers(tmp_path), "calls")).classes) == 4


@pytest.mark.parametrize("target", ["", "churned", "spent", "note"])
def test_the_pictures(tmp_path: Path, target: str) -> None:
    table = statistics.read(customers(tmp_path), target)
    drawn = statistics.draw(table, tmp_path / "new")
    assert [path.name for path in drawn] == ["columns.png", "correlation.png"]
    for path in drawn:
        with Image.open(path) as picture:
            colours = picture.convert("RGB").getcolors(1 << 24)
        assert len(colours or ()) > 20
    with fails(InvalidInput, f"{tmp_path}/new/columns.png exists already."):
        statistics.draw(table, tmp_path / "new")


def test_without_numbers_there_is_no_correlation(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "a,$b_{x$\n" + "x,y\nz,y\nz,w\n" * 4)
    drawn = statistics.draw(statistics.read(path, "a"), tmp_path / "new")
    assert [path.name for path in drawn] == ["columns.png"]


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    missing = "--target names Spent, which is not a column of customers.csv."
    with fails(InvalidInput, missing, "Did you mean spent?"):
        statistics.read(customers(tmp_path), "Spent")
