"""The made-up table: the same for a seed, sound, and worth learning from."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from trainer.datasets.findings import Severity
from trainer.datasets.synthetic.customers import HEADER, Customers
from trainer.datasets.tables.validate import validate
from trainer.errors import InvalidInput
from trainkit.data.table import columns, csv_file

from unit.helpers import fails, put


def test_a_seed_gives_the_same_rows_however_many_there_are(tmp_path: Path) -> None:
    for name, rows, seed in (("one", 100, 0), ("two", 100, 0), ("more", 150, 0), ("other", 100, 1)):
        Customers(rows, seed).make(tmp_path / f"{name}.csv")
    one, two, more, other = ((tmp_path / f"{n}.csv").read_bytes() for n in ("one", "two", "more", "other"))
    assert one == two
    assert more.startswith(one)
    assert other != one


def test_it_has_what_real_tables_have_and_nothing_is_wrong_with_it(tmp_path: Path) -> None:
    Customers().make(tmp_path / "demo.csv")
    verdict = validate(tmp_path / "demo.csv", "churned")
    assert verdict.subject == f"1,000 rows of {len(HEADER)} columns"
    assert {finding.kind.severity for finding in verdict.findings} == {Severity.NOTE}
    kinds = {column.kind for column in columns.describe(csv_file.read(tmp_path / "demo.csv"))}
    assert kinds == {"number", "category", "date", "id", "constant", "text"}


def test_the_target_can_be_learnt_and_is_not_given_away(tmp_path: Path) -> None:
    Customers().make(tmp_path / "demo.csv")
    table = pd.read_csv(tmp_path / "demo.csv")
    features = table[["age", "monthly_fee", "support_calls", "satisfaction"]]
    churned = (table["churned"] == "yes").to_numpy()
    model = LogisticRegression(max_iter=1000)
    scores = cross_val_score(model, features.fillna(features.median()), churned, scoring="roc_auc")
    assert 0.8 < np.mean(scores) < 0.98
    assert 0.15 < churned.mean() < 0.4


def test_an_existing_file_is_never_touched(tmp_path: Path) -> None:
    path = put(tmp_path / "demo.csv", "mine")
    with fails(InvalidInput, f"{path} exists already."):
        Customers(10).make(path)
    assert path.read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["demo.csv"]
