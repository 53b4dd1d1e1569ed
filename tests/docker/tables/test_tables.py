"""A CSV file as people have them, from the command to a model that takes its rows."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from support import REPOSITORY, Site


@pytest.fixture
def customers(site: Site) -> Path:
    """With blanks, categories, an id, a text and a date, in data/."""
    generator = random.Random(0)
    rows = ["customer_id,since,plan,region,fee,calls,note,churned"]
    for i in range(300):
        plan, calls = generator.choice(["basic", "plus", "family"]), generator.randrange(10)
        since = "" if i % 20 == 3 else f"{generator.randint(2015, 2024)}-{generator.randint(1, 12):02}-07"
        fee = "" if i % 15 == 4 else f"{generator.uniform(10, 90):.2f}"
        churned = "" if i == 9 else "yes" if calls > (7 if plan == "plus" else 3) else "no"
        words = f"{'' if i % 25 == 5 else plan},{('north', 'south')[i % 2]}"
        rows.append(f"C-{i},{since},{words},{fee},{calls},said {i} words,{churned}")
    path = site.root / "data" / "customers.csv"
    path.write_text("\n".join(rows))
    return path


def test_sklearn_learns_it_and_its_model_takes_raw_rows(
    site: Site, customers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = site.trainer(
        "run", "sklearn", "--data", "customers.csv", "--target", "churned", "--n-estimators", "20"
    )
    assert done.code == 0, done.err
    assert "plan         category       12  one-hot, 3 categories, missing as one more\n" in done.out
    assert "customer_id  id              -  left out: an id, 300 different in 300 rows\n" in done.out
    run = site.run(done.run_id)
    assert run.data.metrics["accuracy"] > 0.9
    kept = json.loads(site.artifact(done.run_id, "columns.json", tmp_path).read_text())
    assert kept["rows_without_target"] == 1
    held_out = pd.read_csv(site.artifact(done.run_id, "predictions_validation.csv", tmp_path))
    right = (held_out["predicted"] == held_out["true"]).mean()
    assert right == pytest.approx(run.data.metrics["accuracy"])
    rows = pd.read_csv(customers)  # the first row is 1
    assert rows["churned"].iloc[held_out["row"] - 1].tolist() == held_out["true"].tolist()

    for name, value in site.access.items():
        monkeypatch.setenv(name, value)
    model = mlflow.pyfunc.load_model(f"runs:/{done.run_id}/model")
    table = pd.read_csv(customers)
    assert (model.predict(table) == table["churned"]).mean() > 0.9
    row = {"since": None, "plan": "basic", "region": "north", "fee": None, "calls": 9}
    assert model.predict(pd.DataFrame([row])).tolist() == ["yes"]
    assert model.predict(pd.DataFrame([row | {"calls": 0, "plan": "unseen"}])).tolist() == ["no"]


@pytest.fixture(scope="module")
def pytorch_layers(site: Site) -> str:
    shutil.copytree(REPOSITORY / "train_code" / "pytorch_layers", site.root / "train_code" / "pytorch_layers")
    return "pytorch_layers"


@pytest.mark.parametrize("categories", ["one-hot", "embedding"])
def test_pytorch_layers_learns_it_with_the_same_command(
    site: Site, customers: Path, pytorch_layers: str, categories: str
) -> None:
    assert customers.is_file()
    options = ("--data", "customers.csv", "--target", "churned", "--categories", categories)
    done = site.trainer("run", pytorch_layers, *options, "--learning-rate", "0.01")
    assert done.code == 0, done.err
    assert site.run(done.run_id).data.metrics["validation_accuracy"] > 0.7


def test_the_layers_of_a_project_show_its_embeddings(
    site: Site, customers: Path, pytorch_layers: str
) -> None:
    assert customers.is_file()
    options = (
        "--data",
        "customers.csv",
        "--target",
        "churned",
        "--categories",
        "embedding",
        "--drop",
        "since",
    )
    shown = site.trainer("layers", pytorch_layers, *options)
    assert shown.code == 0, shown.err
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["embeddings.plan", "Embedding(5,", "4)", "4", "20"] in lines
    assert ["embeddings.region", "Embedding(4,", "3)", "3", "12"] in lines


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--target", "churn"),
            ["--target names churn, which is not a column of customers.csv.", "Did you mean churned?"],
        ),
        (
            ("--drop", "notes"),
            ["--drop names notes, which is not a column of customers.csv.", "Did you mean note?"],
        ),
        (
            ("--target", "churned", "--estimator", "ridge"),
            [
                "ridge cannot learn churned: 2 classes.",
                "Use --estimator random_forest, hist_gradient_boosting or logistic_regression.",
            ],
        ),
        (
            ("--target", "fee", "--task", "classification", "--impute", "none"),
            [
                "Column 'fee' has 276 different numbers in 280 rows: a quantity, not classes.",
                "Learn it as a quantity (--task regression), or name another --target.",
            ],
        ),
    ],
)
def test_what_does_not_fit_the_table_is_refused_before_a_run(
    site: Site, customers: Path, options: tuple[str, ...], said: list[str]
) -> None:
    before = len(site.runs())
    done = site.trainer("run", "sklearn", "--data", customers.name, *options)
    assert done.code == 2
    assert done.err.splitlines()[-2:] == [f"Error: {said[0]}", f"Hint:  {said[1]}"]
    assert len(site.runs()) == before
