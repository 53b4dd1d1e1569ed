"""A table divided: whole rows, by class and by group, the same each time."""

import csv
from pathlib import Path

import pytest
from trainer.datasets.tables import split
from trainer.datasets.tables.split import Request
from trainer.errors import InvalidInput
from trainkit.errors import InputError

from unit.helpers import fails, put

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def customers(path: Path, rows: int = 100, head: str = "", end: str = "\n") -> Path:
    lines = ["id;city;spent;churned"]
    lines += [
        f'{n // 2};"B {n}\n;";{n * 1.5};{"yes" if n % 5 == 0 else "no"}'.replace(".", ",")
        for n in range(rows)
    ]
    return put(path, head + end.join(lines))


def parts(folder: Path) -> dict[str, list[list[str]]]:
    found = {}
    for path in folder.iterdir():
        with path.open(encoding="utf-8-sig", newline="") as file:
            found[path.stem] = list(csv.reader(file, delimiter=";"))
    return found


def test_each_row_is_in_one_file_as_it_was_written(tmp_path: Path) -> None:
    source = customers(tmp_path / "c.csv", head="\ufeff", end="\r\n")
    split.plan(Request(source, SHARES)).make(tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "test.csv",
        "train.csv",
        "validation.csv",
    ]
    texts = [path.read_bytes() for path in (tmp_path / "new").iterdir()]
    header = "\ufeffid;city;spent;churned\r\n".encode()
    assert all(text.startswith(header) and text.endswith(b"\r\n") for text in texts)
    with source.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter=";"))
    divided = parts(tmp_path / "new")
    assert sorted(row for part in divided.values() for row in part[1:]) == sorted(rows[1:])
    assert {name: len(part) - 1 for name, part in divided.items()} == {
        "train": 60,
        "validation": 20,
        "test": 20,
    }


def test_it_is_the_same_each_time_whatever_the_order_and_another_with_another_seed(tmp_path: Path) -> None:
    source = customers(tmp_path / "c.csv", end="\r\n")
    head, *rows = source.read_text().split("\r\n")
    other = put(tmp_path / "other.csv", "\r\n".join([head, *reversed(rows)]))
    split.plan(Request(source, SHARES)).make(tmp_path / "one")
    split.plan(Request(other, SHARES)).make(tmp_path / "two")
    split.plan(Request(source, SHARES, seed=1)).make(tmp_path / "three")
    one, two, three = (parts(tmp_path / name) for name in ("one", "two", "three"))
    assert {name: sorted(part) for name, part in one.items()} == {n: sorted(part) for n, part in two.items()}
    assert one != three


def test_each_class_is_divided_by_the_shares(tmp_path: Path) -> None:
    source = customers(tmp_path / "c.csv")
    counts = split.plan(Request(source, SHARES, target="churned")).counts
    assert counts == {
        "no": {"train": 48, "validation": 16, "test": 16},
        "yes": {"train": 12, "validation": 4, "test": 4},
    }


def test_a_quantity_is_divided_part_by_part(tmp_path: Path) -> None:
    counts = split.plan(Request(customers(tmp_path / "c.csv"), SHARES, target="spent")).counts
    assert len(counts) == 10
    assert all(count == {"train": 6, "validation": 2, "test": 2} for count in counts.values())


@pytest.mark.parametrize("target", ["", "churned"])
def test_a_group_is_on_one_side(tmp_path: Path, target: str) -> None:
    division = split.plan(Request(customers(tmp_path / "c.csv"), SHARES, target=target, group="id"))
    division.make(tmp_path / "new")
    ids = [{row[0] for row in part[1:]} for part in parts(tmp_path / "new").values()]
    assert (len(set.union(*ids)), sum(map(len, ids)), division.groups) == (50, 50, 50)


def test_the_same_rows_are_on_one_side(tmp_path: Path) -> None:
    source = put(tmp_path / "c.csv", "a,b\n" + "".join(f"{n % 10}, {n % 10}\n" for n in range(100)))
    split.plan(Request(source, SHARES)).make(tmp_path / "new")
    sides = [
        {text for text in path.read_text().split("\n")[1:] if text} for path in (tmp_path / "new").iterdir()
    ]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 10


def test_rows_without_a_value_are_left_out(tmp_path: Path) -> None:
    source = put(tmp_path / "c.csv", "a,b\n" + "".join(f"{n},1\n,\n\n" for n in range(10)))
    division = split.plan(Request(source, SHARES))
    assert (len(division.splits), division.empty) == (10, 20)


def test_what_cannot_be_split(tmp_path: Path) -> None:
    source = customers(tmp_path / "c.csv")
    with fails(
        InvalidInput, "--target names churn, which is not a column of c.csv.", "Did you mean churned?"
    ):
        split.plan(Request(source, SHARES, target="churn"))
    with fails(InvalidInput, "--group names ID, which is not a column of c.csv.", "Did you mean id?"):
        split.plan(Request(source, SHARES, group="ID"))
    with pytest.raises(InputError, match="do not add up to 1"):
        split.plan(Request(source, {"train": 0.5, "test": 0.1}))
    put(tmp_path / "few.csv", "a;b\n1;x\n2;x\n3;x\n4;y\n")
    with fails(
        InvalidInput,
        "The class y of b has 1 different row: too few for train, validation, test.",
        "Add rows, or split without --target.",
    ):
        split.plan(Request(tmp_path / "few.csv", SHARES, target="b"))
    put(tmp_path / "latin.csv", "a;b\n1;x\n2;K\xf6ln\n".encode("latin-1"))
    with fails(
        InvalidInput,
        "latin.csv is not UTF-8: byte 0xF6 in line 3.",
        "Convert it: iconv -f WINDOWS-1252 -t UTF-8 latin.csv > latin-utf8.csv",
    ):
        split.plan(Request(tmp_path / "latin.csv", SHARES))
