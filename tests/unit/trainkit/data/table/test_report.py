from pathlib import Path

from trainkit.data import tables
from trainkit.data.table import report
from trainkit.data.tables import Table


def load(folder: Path, header: str, rows: list[str], **options: str) -> Table:
    path = folder / "t.csv"
    path.write_text("\n".join([header, *rows]))
    return tables.load(path, validation_share=0.25, seed=0, **options)  # type: ignore[arg-type]


def test_it_says_what_was_done_with_each_column(tmp_path: Path) -> None:
    rows = [
        f"{i},{'' if i == 3 else i + 0.5},{'' if i < 2 else 'uv'[i % 2]},2020-01-{i % 28 + 1:02},z,"
        f"{'xy'[i % 2]}"
        for i in range(40)
    ]
    table = load(
        tmp_path, "id,age,plan,since,same,kind", [*rows, "40,1,u,2020-01-01,z,"], impute="most_frequent"
    )
    assert report.text(table).splitlines() == [
        "column  kind      missing  what is done with it",
        "id      id              -  left out: an id, 41 different in 41 rows",
        "age     number          1  most frequent where missing, scaled",
        "plan    category        2  one-hot, 2 categories, missing as one more",
        "since   date            -  seconds since 1970, scaled",
        "same    constant        -  left out: the same everywhere",
        "kind    target          1  2 classes: x, y",
        "1 row has no kind: left out",
    ]
    kept = report.data(table)
    assert (kept["target"], kept["rows_without_target"]) == ("kind", 1)
    assert [column["treatment"] for column in kept["columns"]][1] == "most frequent where missing, scaled"  # type: ignore[attr-defined]


def test_an_embedding_has_all_categories(tmp_path: Path) -> None:
    rows = [f"{i}.5,{'' if i == 3 else f'w{i % 30}'},{'xy'[i % 2]}" for i in range(300)]
    table = load(tmp_path, "a,town,kind", rows, categories="embedding")
    assert (
        "town    category        1  embedding, 30 categories, missing as one more"
        in report.text(table).splitlines()
    )
    assert report.data(table)["categories"] == "embedding"


def test_many_columns_of_a_kind_have_one_line(tmp_path: Path) -> None:
    header = ",".join([*(f"pixel_{i}" for i in range(30)), "kind"])
    rows = [",".join([*(f"{i + j}.5" for j in range(30)), "xy"[i % 2]]) for i in range(20)]
    assert report.text(load(tmp_path, header, rows)).splitlines()[1:] == [
        "pixel_0 … pixel_29  number        -  scaled (30 columns)",
        "kind                target        -  2 classes: x, y",
    ]


def test_lines_are_no_longer_than_a_terminal_is_wide(tmp_path: Path) -> None:
    names = [f"a very long name of a column, number {i}" for i in range(60)]
    header = ",".join(f'"{name}"' for name in [*names, "kind"])
    rows = [
        ",".join([*(("z" if j % 2 else f"{i + j}.5") for j in range(60)), f"class {i % 9} of a long name"])
        for i in range(90)
    ]
    lines = report.text(load(tmp_path, header, rows)).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "… and 21 more: columns.json"
