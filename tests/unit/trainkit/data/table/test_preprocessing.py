from collections.abc import Sequence
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import skops.io
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from trainkit.data import tables
from trainkit.data.table import preprocessing
from trainkit.data.table.cells import MISSING, UNKNOWN
from trainkit.data.tables import Table
from trainkit.errors import InputError

HEADER = "age,plan,since,note,left"
ROWS = [
    f"{'' if i == 3 else 20 + i},{'' if i % 10 == 4 else ('basic', 'plus')[i % 2]},2020-01-{i % 28 + 1:02},"
    f"said {i} words,{('yes', 'no')[i % 2]}"
    for i in range(40)
]


def load(folder: Path, rows: Sequence[str] = ROWS, header: str = HEADER, **options: str) -> Table:
    path = folder / "t.csv"
    path.write_text("\n".join([header, *rows]))
    return tables.load(path, validation_share=0.25, seed=0, **options)  # type: ignore[arg-type]


def fitted(table: Table) -> ColumnTransformer:
    transformer = preprocessing.transformer(table.columns, table.impute, table.categories)
    return transformer.fit(table.splits["train"].features)


def transformed(table: Table, **row: object) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = fitted(table).transform(pd.DataFrame([row]))[0]
    return numbers


def test_columns_become_numbers_without_gaps(tmp_path: Path) -> None:
    table = load(tmp_path)
    for rows in table.splits.values():
        numbers = fitted(table).transform(rows.features)
        # Age, the date, and a category each for basic, plus and missing.
        assert numbers.shape == (len(rows), 5)
        assert np.isfinite(numbers).all()
    train = fitted(table).transform(table.splits["train"].features)
    assert train[:, :2].mean(axis=0) == pytest.approx([0, 0])
    assert train[:, :2].std(axis=0) == pytest.approx([1, 1])


@pytest.mark.parametrize("impute", ["median", "mean", "most_frequent"])
def test_a_missing_number_is_imputed(tmp_path: Path, impute: str) -> None:
    rows = [f"{value},{'xy'[i % 2]}" for i, value in enumerate([1, 1, 3, 5, 100] * 8)]
    table = load(tmp_path, [*rows, ",x"], "a,b", impute=impute)
    values = table.splits["train"].features["a"].dropna()
    filled = {"median": values.median(), "mean": values.mean(), "most_frequent": 1}[impute]
    assert transformed(table, a=None) == pytest.approx(transformed(table, a=filled))


def test_what_is_imputed_comes_from_the_training_rows_alone(tmp_path: Path) -> None:
    table = load(tmp_path)
    ages = table.splits["train"].features["age"]
    row = {"plan": "plus", "since": "2020-01-05"}
    assert (
        transformed(table, age=None, **row).tolist() == transformed(table, age=ages.median(), **row).tolist()
    )


def test_a_category_that_training_has_not_seen_is_none_of_the_others(tmp_path: Path) -> None:
    table = load(tmp_path)
    one_hot = {
        plan: transformed(table, age=30, since="2020-01-05", plan=plan)[2:].tolist()
        for plan in ("basic", "plus", None, "gold")
    }
    assert one_hot == {"basic": [1, 0, 0], "plus": [0, 1, 0], None: [0, 0, 1], "gold": [0, 0, 0]}


def test_missing_is_missing_by_whatever_name(tmp_path: Path) -> None:
    table = load(
        tmp_path,
        [*(f"{i % 3},{'uv'[i % 2]},{'xy'[i % 2]}" for i in range(40)), ",,x"] * 3,
        "a,c,b",
        categorical="a",
    )
    rows = [{"a": missing, "c": missing} for missing in (None, np.nan)]
    first, second = [transformed(table, **row).tolist() for row in rows]
    assert first == [0, 0, 0, 1, 0, 0, 1]
    assert second == first


def test_the_rarest_of_many_categories_are_one(tmp_path: Path) -> None:
    rows = [f"w{i % 40},{'xy'[i % 2]}" for i in range(400)]
    table = load(tmp_path, rows, "a,b")
    assert len(transformed(table, a="w1")) == preprocessing.MOST_CATEGORIES
    assert sum(transformed(table, a="unseen")) == 1


@pytest.mark.parametrize(
    ("cells", "other"),
    [
        ("{day:02}.03.2020", "15.03.2020"),
        ("03/{day:02}/2020", "03/15/2020"),
        ("2020-03-{day:02}T10:00:00Z", "2020-03-15T10:00:00Z"),
    ],
)
def test_dates_are_numbers_whatever_they_are_written_like(tmp_path: Path, cells: str, other: str) -> None:
    rows = [f"{cells.format(day=i % 28 + 1)},{'xy'[i % 2]}" for i in range(56)]
    table = load(tmp_path, rows, "a,b")
    [first, middle, last] = (transformed(table, a=other.replace("15", day))[0] for day in ("01", "15", "29"))
    assert middle - first == pytest.approx(last - middle)
    assert transformed(table, a="no date").tolist() == transformed(table, a=None).tolist()


@pytest.mark.filterwarnings("ignore")
def test_a_model_takes_raw_rows_and_needs_no_code_of_trainkit(tmp_path: Path) -> None:
    table = load(tmp_path)
    train = table.splits["train"]
    model = make_pipeline(preprocessing.transformer(table.columns), LogisticRegression())
    model.fit(train.features, table.words(train.target))
    answers = model.predict(train.features)
    mlflow.sklearn.save_model(
        model,
        tmp_path / "model",
        signature=preprocessing.signature(train.features, answers),
        pip_requirements=[],
        serialization_format="skops",
        skops_trusted_types=list(preprocessing.SKOPS_TYPES),
    )
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    assert loaded.predict(train.features).tolist() == answers.tolist()
    # As pandas reads the file: whole numbers, columns that are not learnt from, missing cells.
    assert len(loaded.predict(pd.read_csv(tmp_path / "t.csv"))) == len(ROWS)
    for row in (
        {"age": 30, "plan": "plus", "since": None},
        {"age": None, "plan": None, "since": "2020-01-05"},
    ):
        assert loaded.predict(pd.DataFrame([row]))[0] in ("yes", "no")
    kept = skops.io.dumps(model)
    assert not [name for name in skops.io.get_untrusted_types(data=kept) if "trainkit" in name]


def test_an_unknown_way_to_impute_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--impute is 'magic'"):
        preprocessing.transformer(load(tmp_path).columns, "magic")


def test_each_number_has_a_name(tmp_path: Path) -> None:
    table = load(tmp_path)
    assert preprocessing.number_names(fitted(table)) == [
        "age",
        "since",
        "plan_basic",
        "plan_plus",
        "plan_nan",
    ]


def test_any_name_is_one_of_a_column(tmp_path: Path) -> None:
    names = ("a__b", "remainder", "words 1", "size, [cm]", "x__")
    rows = [f"{i % 7},u{i % 3},v{i % 2},2020-01-{i % 28 + 1:02},w{i % 4},{'xy'[i % 2]}" for i in range(40)]
    header = ",".join(f'"{name}"' for name in (*names, "kind"))
    table = load(tmp_path, rows, header)
    assert fitted(table).transform(table.splits["train"].features).shape == (30, 1 + 3 + 2 + 1 + 4)


def test_categories_to_embed_are_numbers_behind_the_others(tmp_path: Path) -> None:
    table = load(tmp_path, categories="embedding")
    before = fitted(table)
    assert preprocessing.number_names(before) == ["age", "since", "plan"]
    assert preprocessing.category_names(before) == {"plan": ("basic", "plus")}
    row: dict[str, object] = {"age": 20, "since": "2020-01-02"}
    found = [transformed(table, **row, plan=plan)[-1] for plan in ("basic", "plus", None, "gold")]
    assert found == [0, 1, MISSING, UNKNOWN]
    assert preprocessing.category_names(fitted(load(tmp_path))) == {}


def test_a_word_for_what_becomes_of_categories_is_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        fitted(load(tmp_path, categories="hashing"))
    assert (caught.value.message, caught.value.hint) == (
        "--categories is 'hashing'.",
        "Use one of one-hot, embedding.",
    )
