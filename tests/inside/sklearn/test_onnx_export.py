"""Models of scikit-learn as ONNX files. Run in the sklearn image, without a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.semi_supervised import LabelPropagation
from trainkit.data import tables
from trainkit.data.table import preprocessing
from trainkit.errors import InputError
from trainkit.inference.description import Table
from trainkit.inference.predictor import Predictor
from trainkit.models import export, samples

RUN = "0123456789abcdef0123456789abcdef"
TRUSTED = [
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    *preprocessing.SKOPS_TYPES,
]
COLUMNS = ["age", "income", "city", "colour"]
Exporting = Callable[..., Path]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Numbers of which neighbours differ in the last digits, rare words, dates, codes, missing cells."""
    random = np.random.default_rng(0)
    count = 600
    age = random.normal(40, 10, count).round(1)
    frame = pd.DataFrame(
        {
            "age": age,
            "income": random.lognormal(10, 1, count),
            "city": random.choice([f"c {n}" for n in range(30)], count, p=np.arange(1, 31) / 465),
            "since": pd.date_range("2020-01-01", periods=count, freq="7h").strftime("%Y-%m-%d"),
            "colour": random.choice(["red", "green", "None"], count),
            "plan": random.choice(["001", "002", "010"], count),
            "left": np.where(age + random.normal(0, 5, count) > 42, "yes", "no"),
            "amount": age * 3 + random.normal(0, 1, count),
        }
    )
    for column in ("age", "colour", "since"):
        frame.loc[random.random(count) < 0.1, column] = np.nan
    return frame


@pytest.fixture
def exporting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exporting:
    """`exporting(model, …)` puts what a run logs into the folder that it gives back; … is of `save_model`."""
    monkeypatch.setattr(mlflow, "log_artifact", lambda path: shutil.copy(path, tmp_path))

    def save(model: BaseEstimator, **options: object) -> Path:
        mlflow.sklearn.save_model(
            model, str(tmp_path / "model"), pip_requirements=[], serialization_format="skops",
            skops_trusted_types=TRUSTED, **options,
        )  # fmt: skip
        return tmp_path

    return save


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(50, random_state=0),
        HistGradientBoostingClassifier(random_state=0),
        LogisticRegression(max_iter=1000),
        RandomForestRegressor(50, random_state=0),
        HistGradientBoostingRegressor(random_state=0),
        Ridge(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_model_with_the_preprocessing_of_trainkit_answers_the_same_for_every_row(
    exporting: Exporting, frame: pd.DataFrame, tmp_path: Path, estimator: BaseEstimator
) -> None:
    classifies = hasattr(estimator, "predict_proba")
    target, other = ("left", "amount") if classifies else ("amount", "left")
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    table = tables.load(path, validation_share=0.4, seed=0, target=target, drop=other)
    train, held = table.splits["train"], table.splits["validation"]
    model = make_pipeline(preprocessing.transformer(table.columns), estimator)
    model.fit(train.features, table.words(train.target))
    answer = model.predict_proba if classifies else model.predict
    folder = exporting(model, signature=preprocessing.signature(held.features, model.predict(held.features)))
    samples.log_rows(table, answer(samples.rows_of(table)))

    report = export.export(folder, RUN)

    assert report["same_class"] == 1
    assert report["max_difference"] < 1e-5
    assert report["classes"] == list(table.class_names)
    assert report["target"] == target
    predictor = Predictor.open(folder / "onnx" / "model.onnx")
    assert predictor.version == report["sha256"]
    assert predictor.description.run_id == RUN
    assert predictor.description.framework.startswith("scikit-learn 1.")
    expected = np.asarray(answer(held.features)).reshape(len(held), -1)
    found = predictor.answers(samples.as_rows(held.features)).values
    assert np.abs(found - expected).max() < 1e-3
    saved = Model.load(str(folder / "onnx"))
    assert isinstance(predictor.description.input, Table)
    assert set(saved.flavors) == {"onnx"}, "MLflow would give the graph columns that it does not take"
    assert saved.signature.inputs.input_names() == [
        column.name for column in predictor.description.input.columns
    ]


@pytest.mark.parametrize(
    "estimator", [RandomForestClassifier(50, random_state=0), HistGradientBoostingClassifier(random_state=0)]
)
def test_any_pipeline_is_exported_as_a_whole_and_compared_on_its_input_example(
    exporting: Exporting, frame: pd.DataFrame, estimator: BaseEstimator
) -> None:
    frame = frame.assign(colour=frame.colour.fillna("none"), income=frame.income.where(frame.index % 9 > 0))
    encoder = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city", "colour"]),
    )
    model = make_pipeline(encoder, estimator).fit(frame[COLUMNS], frame.left)
    folder = exporting(model, input_example=frame[COLUMNS].head(20))

    report = export.export(folder, RUN)

    assert (report["samples"], report["same_class"]) == (samples.MOST, 1)
    predictor = Predictor.open(folder / "onnx" / "model.onnx")
    found = predictor.answers(samples.as_rows(frame[COLUMNS])).values
    assert np.abs(found - model.predict_proba(frame[COLUMNS])).max() < 1e-5


def test_columns_keep_their_names_where_a_graph_could_not_have_them(
    exporting: Exporting, frame: pd.DataFrame
) -> None:
    named = frame[["amount", "income"]].set_axis(["an amount", "variable"], axis=1)
    model = LogisticRegression(max_iter=1000).fit(named, frame.left)
    folder = exporting(model, input_example=named.head(8))
    export.export(folder, RUN)
    predictor = Predictor.open(folder / "onnx" / "model.onnx")
    found = predictor.answers(samples.as_rows(named)).values
    assert np.abs(found - model.predict_proba(named)).max() < 1e-5


def test_what_cannot_be_exported_is_said_in_two_sentences(exporting: Exporting, frame: pd.DataFrame) -> None:
    numbers = frame[["amount", "income"]]
    folder = exporting(LabelPropagation().fit(numbers[:50], frame.left[:50]), input_example=numbers.head())
    command = [sys.executable, "-m", "trainkit.models.export", str(folder), RUN]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == export.UNEXPORTED, ended.stderr
    line = next(line for line in ended.stdout.splitlines() if line.startswith(export.MARK))
    said = json.loads(line.removeprefix(export.MARK))
    assert "LabelPropagation" in said["message"]
    assert said["hint"]


def test_an_export_that_answers_otherwise_is_a_mismatch(exporting: Exporting, frame: pd.DataFrame) -> None:
    numbers = frame[["amount", "income"]]
    folder = exporting(LogisticRegression().fit(numbers, frame.left), input_example=numbers.head())
    export.export(folder, RUN)
    described = Predictor.open(folder / "model.onnx").description
    rows = samples.as_rows(numbers.head())
    samples.log(samples.Samples(described, rows, np.tile([0.9, 0.1], (5, 1))[:, ::-1]))
    shutil.rmtree(folder / "onnx")
    command = [sys.executable, "-m", "trainkit.models.export", str(folder), RUN]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == export.MISMATCH, ended.stdout + ended.stderr
    assert "does not answer as the model did" in ended.stdout
    assert not (folder / "onnx").exists()


def test_a_model_without_samples_and_example_is_refused(exporting: Exporting, frame: pd.DataFrame) -> None:
    folder = exporting(LogisticRegression().fit(frame[["amount"]], frame.left))
    with pytest.raises(InputError, match="neither samples"):
        export.export(folder, RUN)
