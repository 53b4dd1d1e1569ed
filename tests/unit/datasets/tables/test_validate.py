"""Tables that are checked: each kind of fault is found where it is, and a sound table has none."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from trainer.datasets.findings import Severity
from trainer.datasets.tables.findings import Finding, Kind
from trainer.datasets.tables.validate import validate
from trainer.errors import InvalidInput

from unit.helpers import fails, put

HEADER = "age,income,plan,churned"
ROWS = [
    f"{20 + n % 40},{1000 + n * n % 977},{'abc'[n % 3]},{'yes' if n % 4 < 2 else 'no'}" for n in range(60)
]


def table(tmp_path: Path, *more: str, header: str = HEADER, rows: Sequence[str] = ROWS) -> Path:
    """A sound table, and these lines after it: the first of them is line 62."""
    return put(tmp_path / "customers.csv", "\n".join([header, *rows, *more]) + "\n")


def only(path: Path, target: str = "", min_rows: int = 1) -> Finding:
    """The one thing that was found."""
    (finding,) = validate(path, target, min_rows).findings
    return finding


def test_a_sound_table(tmp_path: Path) -> None:
    verdict = validate(table(tmp_path), "churned")
    assert (verdict.findings, verdict.subject) == ((), "60 rows of 4 columns")
    assert verdict.as_json()["rows"] == 60


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("20,1000,a", Kind.LENGTH, "line 62: 3 cells, and the header has 4"),
        ("20,1000,a,no,more", Kind.LENGTH, "line 62: 5 cells, and the header has 4"),
        ("unknown,1,a,no", Kind.MIXED, "line 62: age: 'unknown' is no number"),
        (ROWS[0], Kind.COPY, "line 62: as line 2"),
        (f"\n,,,\n{ROWS[0].replace('20', '77')}", Kind.EMPTY_ROW, "lines 62, 63"),
        (",1,a,no", Kind.MISSING, "age: 1 of 61 cells, 2%"),
        ('30,7,a,"no', Kind.OPEN_QUOTE, "line 62: all that follows is one cell"),
    ],
)
def test_a_line_of_a_table(tmp_path: Path, line: str, kind: Kind, said: str) -> None:
    finding = only(table(tmp_path, line))
    assert (finding.kind, finding.line(3)) == (kind, said)


@pytest.mark.parametrize(
    ("name", "cells", "kind", "said"),
    [
        ("customer_id", [f"C{n}" for n in range(60)], Kind.ID, "customer_id: an id, 60 different in 60 rows"),
        ("country", ["DE"] * 60, Kind.CONSTANT, "country: the same everywhere"),
        ("comment", [f"words and words {n}" for n in range(60)], Kind.TEXT,
         "comment: text, 60 different in 60 rows"),
        ("rare", ["x", "x", "y"] + [""] * 57, Kind.MOSTLY_MISSING, "rare: 57 of 60 cells, 95%"),
        ("months", [str(12 * (20 + n % 40)) for n in range(60)], Kind.EQUAL,
         "age and months: their correlation is 1.0000"),
        ("plan_name", ["ABC"[n % 3] * 3 for n in range(60)], Kind.EQUAL,
         "plan and plan_name: each value of one has one of the other"),
        ("size", ["large", "huge", *("small" if n % 4 == 3 else str(n % 9) for n in range(2, 60))],
         Kind.PARTLY_NUMBERS, "lines 2, 3, 5, 14 more: size: 'large' and other words; 72% are numbers"),
        ("", [str(n * 7 % 31) for n in range(60)], Kind.NO_NAME, "column 5"),
        ("age", [str(n * 7 % 31) for n in range(60)], Kind.SAME_NAME, "age: columns 1 and 5"),
    ],
)  # fmt: skip
def test_a_column(tmp_path: Path, name: str, cells: Sequence[str], kind: Kind, said: str) -> None:
    rows = [f"{row},{cell}" for row, cell in zip(ROWS, cells, strict=True)]
    finding = only(table(tmp_path, header=f"{HEADER},{name}", rows=rows))
    assert (finding.kind, finding.line(3)) == (kind, said)


@pytest.mark.parametrize(
    "cell", ["4.582,2{} €", "4.582,2{}", "5{},84 m²", "1,23{}.50", "$1{}.50", "5{} %", "1{} km/h"]
)
def test_numbers_that_are_written_for_people(tmp_path: Path, cell: str) -> None:
    cells = [cell.format(n % 10) for n in range(60)]
    rows = [f"{row};{cell}".replace(",", ";", 3) for row, cell in zip(ROWS, cells, strict=True)]
    path = table(tmp_path, header=f"{HEADER},price".replace(",", ";"), rows=rows)
    found = [f for f in validate(path).findings if f.kind is Kind.WRITTEN_NUMBERS]
    assert [f.line() for f in found] == [f"price: looks like numbers: {cells[0]}"]


@pytest.mark.parametrize("cell", ["00{}", "A{}", "{}B", "1.0{}.2024", "{} rooms", "{}-{}"])
def test_words_with_numbers_in_them_are_none(tmp_path: Path, cell: str) -> None:
    rows = [f"{row},{cell.format(n % 9 + 1, n)}" for n, row in enumerate(ROWS)]
    findings = validate(table(tmp_path, header=f"{HEADER},code", rows=rows)).findings
    assert Kind.WRITTEN_NUMBERS not in {finding.kind for finding in findings}


@pytest.mark.parametrize(
    ("target", "cells", "said"),
    [
        ("churned", ["left" if n % 4 < 2 else "here" for n in range(60)], "has one churned"),
        ("churned", [str(n + 1000 * (n % 4 < 2)) for n in range(60)], "has one churned"),
        ("income", [str(3 + 2 * (1000 + n * n % 977)) for n in range(60)], "with income is 1.0000"),
    ],
)  # fmt: skip
def test_a_column_that_gives_the_target_away(
    tmp_path: Path, target: str, cells: Sequence[str], said: str
) -> None:
    rows = [f"{row},{cell}" for row, cell in zip(ROWS, cells, strict=True)]
    path = table(tmp_path, header=f"{HEADER},fate", rows=rows)
    (leak,) = validate(path, target).by_kind()[Kind.LEAK]
    assert leak.line().startswith("fate: ")
    assert leak.line().endswith(said)


def test_the_classes_of_the_target(tmp_path: Path) -> None:
    more = ["20,1,a,maybe", "21,3,a,soon", "22,7,b,soon", "23,9,c,"]
    kinds = validate(table(tmp_path, *more), "churned", min_rows=5).by_kind()
    assert [finding.line() for finding in kinds[Kind.RARE_CLASS]] == ["churned: maybe has 1"]
    assert [finding.line() for finding in kinds[Kind.FEW_ROWS]] == ["churned: soon has 2; 5 were asked for"]
    assert [finding.line() for finding in kinds[Kind.NO_TARGET]] == ["line 65: churned"]
    one = table(tmp_path, rows=[row.replace("yes", "no") for row in ROWS])
    assert only(one, "churned").kind is Kind.ONE_CLASS
    with fails(
        InvalidInput, "--target names churn, which is not a column of customers.csv.", "Did you mean churned?"
    ):
        validate(table(tmp_path), "churn")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\nK\xf6ln,3\n".encode("latin-1"), "line 3: byte 0xF6 at 10; probably WINDOWS-1252"),
        ("a,b\n1,2\n".encode("utf-16"), "line 1: byte 0xFF at 1; probably UTF-16"),
    ],
)
def test_another_encoding(tmp_path: Path, content: bytes, said: str) -> None:
    finding = only(put(tmp_path / "t.csv", content))
    assert (finding.kind, finding.line()) == (Kind.NOT_UTF8, said)


@pytest.mark.parametrize("content", ["", "a,b\n", "\n\n"])
def test_no_rows(tmp_path: Path, content: str) -> None:
    assert only(put(tmp_path / "t.csv", content)).kind is Kind.NO_ROWS


def test_files_of_a_folder_share_columns_and_no_row(tmp_path: Path) -> None:
    root = tmp_path / "split"
    put(root / "train.csv", "\n".join([HEADER, *ROWS[:30]]))
    put(root / "test.csv", "\n".join([HEADER, *ROWS[30:], ROWS[3]]))
    put(root / "validation.csv", "\n".join(["age,wage,plan,churned", "1,2,a,no", "2,5,b,yes", "3,4,a,yes"]))
    kinds = validate(root).by_kind()
    assert [finding.line() for finding in kinds[Kind.SPLIT_LEAK]] == ["train.csv line 5: also in test.csv"]
    assert [finding.line() for finding in kinds[Kind.OTHER_HEADER]] == [
        "validation.csv: not those of test.csv"
    ]


def test_of_many_lines_a_few_are_named() -> None:
    finding = Finding(Kind.EMPTY_ROW, lines=tuple(range(1000, 1020)))
    assert finding.line(3) == "lines 1,000, 1,001, 1,002, 17 more"


def test_errors_come_first_and_say_what_to_do() -> None:
    severities = [kind.severity for kind in Kind]
    assert severities == sorted(severities, key=list(Severity).index)
    assert all(kind.fix for kind in Kind if kind.severity is not Severity.NOTE)
