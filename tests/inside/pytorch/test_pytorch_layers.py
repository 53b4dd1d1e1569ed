"""The whole project: what a run records, and what it refuses. Run in the pytorch image."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import skops.io
import torch
from mlflow.entities import Run
from trainkit.errors import InputError
from trainkit.inference.predictor import Predictor
from trainkit.models import export as onnx_of_run
from trainkit.models import samples
from trainkit.torch import export

TABLES = "layers/mlp.yaml"
SMALL = "- Conv2d: [4, 3]\n- ReLU\n- AdaptiveAvgPool2d: 2\n- Flatten\n- Linear: classes\n- Softmax\n"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def address(data: Path) -> Iterator[str]:
    """The folder of datasets as a web site."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(data)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def artifacts(run: Run) -> Path:
    return Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id))


def metrics(run: Run) -> dict[str, float]:
    """Those that have to be the same in every run."""
    return {k: v for k, v in run.data.metrics.items() if not k.startswith(("seconds_", "system/"))}


def table(data: Path) -> Path:
    random = np.random.default_rng(0)
    rows = ["size,weight,kind,price"]
    for _ in range(80):
        size, weight = random.normal(2e9, 5), random.normal(0, 1e-3)
        big = size > 2e9
        rows.append(f"{size},{weight},{'big' if big else 'small'},{1000 + 50 * (size - 2e9)}")
    (data / "all.csv").write_text("\n".join(rows))
    for name, columns in (("kinds.csv", [0, 1, 2]), ("prices.csv", [0, 1, 3])):
        (data / name).write_text("\n".join(",".join(row.split(",")[c] for c in columns) for row in rows))
    return data


def test_a_run_on_pictures_records_everything_and_its_models_agree(
    run_project: Callable[..., Run], data: Path, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_project(
        data="pictures", layers=small, image_size=16, epochs=6, batch_size=8, learning_rate=0.01
    )
    output = capsys.readouterr().out
    assert "1  Conv2d(out_channels=4, kernel_size=3)  4 x 14 x 14" in output
    assert "CrossEntropyLoss is taken before the last layer, Softmax" in output
    assert sum(line.startswith("epoch ") for line in output.splitlines()) == 6
    assert run.data.metrics["validation_accuracy"] == 1
    client = mlflow.MlflowClient()
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "seconds_epoch"):
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [
            1,
            2,
            3,
            4,
            5,
            6,
        ]
    assert "system/cpu_utilization_percentage" in run.data.metrics
    assert sorted((i.tags[0].value, i.dataset.name) for i in run.inputs.dataset_inputs) == [
        ("training", "pictures"),
        ("validation", "pictures"),
    ]
    folder = artifacts(run)
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "layers.yaml", "layers.txt", "curves.png", "confusion_matrix.png", "roc_curve.png",
        "worst_mistakes.png", "report_validation.csv", "predictions_validation.csv", "model.pt", "model.onnx",
    }  # fmt: skip
    assert (folder / "layers.yaml").read_text() == SMALL
    assert not list((data.parent / "cache" / "checkpoints").iterdir()), "a finished run needs none"

    # Noise that the model was not trained on, in a number of samples that it was not exported with.
    raw = np.random.default_rng(1).uniform(0, 255, (7, 3, 16, 16)).astype(np.float32)
    raw[::2] /= 8
    logged = mlflow.pytorch.load_model(f"runs:/{run.info.run_id}/model")
    answers = logged(torch.from_numpy(raw)).detach().numpy()
    assert answers.std(axis=0).min() > 0.01, "a constant would equal anything"
    assert np.allclose(answers.sum(axis=1), 1)
    weights = export.load(folder / "model.pt")
    assert np.allclose(weights(torch.from_numpy(raw)).detach().numpy(), answers, atol=1e-6)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"input": raw})[0], answers, atol=1e-5)
    assert run.data.metrics["onnx_max_difference"] < 1e-5
    assert np.allclose(mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(raw), answers)


def test_no_model_needs_pickled_code(
    run_project: Callable[..., Run], small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_project(data="pictures", layers=small, image_size=16, epochs=1)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    assert mlflow.pytorch.load_model(f"runs:/{run.info.run_id}/model")
    saved = torch.load(artifacts(run) / "model.pt", weights_only=True)
    assert saved["class_names"] == ["bright", "dark"]


def test_two_runs_have_the_same_metrics_to_the_last_bit(run_project: Callable[..., Run], data: Path) -> None:
    table(data)
    options = {"data": "kinds.csv", "layers": TABLES, "epochs": 3, "seed": 4}
    first, second = metrics(run_project(**options)), metrics(run_project(**options))
    assert first == second
    assert "val_loss" in first


def test_a_zip_of_a_table_is_downloaded_and_its_columns_are_scaled(
    run_project: Callable[..., Run], data: Path, address: str
) -> None:
    table(data)
    with zipfile.ZipFile(data / "kinds.zip", "w") as archive:
        archive.write(data / "kinds.csv", "kinds.csv")
    run = run_project(data=f"{address}/kinds.zip", layers=TABLES, epochs=25)
    assert run.data.metrics["validation_accuracy"] > 0.9, "two billion plus or minus five, unscaled, is noise"
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    rows = pd.DataFrame({"weight": [0.0, 0.0], "size": [2e9 + 8, 2e9 - 8]})
    assert model.predict(rows).idxmax(axis=1).tolist() == ["big", "small"]
    assert model.metadata.metadata == {"class_names": ["big", "small"], "columns": ["size", "weight"]}
    result = (artifacts(run) / "predictions_validation.csv").read_text().splitlines()
    assert result[0] == "row,true,predicted,probability"
    assert len(result) == 17


def test_a_quantity_is_learnt_in_its_own_units(run_project: Callable[..., Run], data: Path) -> None:
    table(data)
    run = run_project(data="prices.csv", epochs=40, patience=0)
    assert run.data.metrics["validation_r2"] > 0.9
    answer = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(
        pd.DataFrame({"size": [2e9 + 4], "weight": [0.0]})
    )
    assert answer["price"].tolist() == [pytest.approx(1200, abs=80)]
    names = {path.name for path in artifacts(run).iterdir()}
    assert {"curves.png", "predicted_against_true.png", "residuals.png"} <= names


def customers(data: Path) -> None:
    random = np.random.default_rng(0)
    rows = ["customer_id,since,plan,fee,calls,note,churned"]
    for i in range(300):
        plan, calls = random.choice(["basic", "plus", "family"]), random.integers(0, 10)
        since = "" if i % 20 == 3 else f"{random.integers(2015, 2025)}-{random.integers(1, 13):02}-07"
        fee = "" if i % 15 == 4 else f"{random.uniform(10, 90):.2f}"
        churned = "" if i == 9 else "yes" if calls > (7 if plan == "plus" else 3) else "no"
        rows.append(f"C-{i},{since},{'' if i % 25 == 5 else plan},{fee},{calls},said {i} words,{churned}")
    (data / "customers.csv").write_text("\n".join(rows))


def test_a_table_with_blanks_categories_dates_ids_and_text_just_works(
    run_project: Callable[..., Run],
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    customers(data)
    run = run_project(data="customers.csv", target="churned", epochs=30, learning_rate=0.01)
    output, errors = capsys.readouterr()
    for line in (
        "customer_id  id              -  left out: an id, 300 different in 300 rows",
        "plan         category       12  one-hot, 3 categories, missing as one more",
        "note         text            -  left out: text, 300 different in 300 rows",
        "1 row has no churned: left out",
    ):
        assert line in output
    assert "Validating input example" not in errors
    assert not {"trusted", "columns"} & run.data.params.keys(), "what a model needs is no parameter of a run"
    assert run.data.metrics["validation_accuracy"] > 0.9
    folder = artifacts(run)
    assert {path.name for path in folder.iterdir()} >= {
        "columns.json", "preprocessing.skops", "permutation_importance.png", "permutation_importance.csv",
        "precision_recall_curve.png", "calibration_curve.png",
    }  # fmt: skip
    important = (folder / "permutation_importance.csv").read_text().splitlines()[1:3]
    assert sorted(line.split(",")[0] for line in important) == ["calls", "plan"]

    # As pandas reads the file: whole numbers, missing cells, columns that are not learnt from.
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    raw = pd.read_csv(data / "customers.csv").drop(columns="churned")
    answers = model.predict(raw)
    assert list(answers) == ["no", "yes"]
    assert (answers.idxmax(axis=1) == pd.read_csv(data / "customers.csv")["churned"]).mean() > 0.9
    row = {"since": None, "plan": "basic", "fee": None, "calls": 9}
    assert model.predict(pd.DataFrame([row])).idxmax(axis=1).tolist() == ["yes"]
    assert model.predict(pd.DataFrame([row | {"plan": "unseen"}])).shape == (1, 2)

    # The files beside it agree.
    trusted = skops.io.get_untrusted_types(file=folder / "preprocessing.skops")
    numbers = skops.io.load(folder / "preprocessing.skops", trusted=trusted).transform(raw)
    weights = export.load(folder / "model.pt")
    assert np.allclose(weights(torch.from_numpy(numbers)).detach().numpy(), answers, atol=1e-6)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"input": numbers})[0], answers, atol=1e-5)


def test_a_dataset_that_scikit_learn_brings_along_is_learnt_by_its_name(
    run_project: Callable[..., Run],
) -> None:
    run = run_project(data="iris", epochs=60, learning_rate=0.02)
    assert run.data.metrics["validation_accuracy"] > 0.8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data": "nothing"}, "There is no "),
        ({"data": "kinds.csv", "target": "sort"}, "--target is 'sort', which is no column of kinds.csv."),
        ({"data": "kinds.csv", "drop": "size,weight"}, "kinds.csv has no column besides kind and those of"),
        ({"data": "gaps.csv", "impute": "none"},
            "gaps.csv lacks 1 value, the first of column 'a' in line 3."),
        ({"data": "kinds.csv", "layers": "layers/cnn.yaml"},
            "Layer 1, Conv2d, gets 2, but needs channels x height x width."),
        ({"data": "kinds.csv", "loss": "MSELoss"}, "kinds.csv: column 'kind' has '"),
        ({"data": "pictures", "loss": "MSELoss"}, "MSELoss cannot learn the data: 2 classes."),
        ({"data": "pictures", "layers": TABLES}, "Layer 1, Linear, gets 3 x 64 x 64"),
        ({"data": "pictures", "layers": "nothing.yaml"}, "nothing.yaml cannot be read"),
        ({"data": "one_class"}, "one_class has one class only: bright."),
        ({"data": "broken"}, "1 of 40 images cannot be read: "),
        ({"data": "evil.zip"}, "evil.zip has a file that would land outside of its folder"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_the_first_epoch(
    run_project: Callable[..., Run], data: Path, options: dict[str, object], said: str
) -> None:
    table(data)
    (data / "one_class").mkdir()
    (data / "one_class" / "bright").symlink_to(data / "pictures" / "bright")
    if options["data"] == "broken":
        (data / "pictures").rename(data / "broken")
        (data / "broken" / "dark" / "3.png").write_bytes(b"no picture")
    (data / "gaps.csv").write_text("a,b\n" + "1,x\n,y\n3,x\n4,y\n")
    with zipfile.ZipFile(data / "evil.zip", "w") as archive:
        archive.writestr("../../evil.csv", "a,b\n1,2\n")
    with pytest.raises(InputError) as caught:
        run_project(**options)
    assert said in caught.value.message
    run = mlflow.last_active_run()
    assert run.info.status == "FAILED"
    assert "loss" not in run.data.metrics


def test_an_error_is_two_lines_and_exit_code_1(
    project: Path, arguments: Callable[..., list[str]], data: Path, store: str
) -> None:
    assert store
    (data / "pictures" / "dark" / "3.png").write_bytes(b"no picture")
    command = [sys.executable, str(project / "train.py"), *arguments(data="pictures", image_size=16)]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    error = [line for line in done.stderr.splitlines() if line.startswith(("Error:", "Hint:"))]
    assert error[0].startswith("Error: 1 of 40 images cannot be read: ")
    assert len(error) == 2
    assert "Traceback" not in done.stderr
    assert "epoch" not in done.stdout


def test_a_gpu_that_is_not_there_is_never_replaced_by_the_cpu(
    run_project: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINER_GPUS", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="PyTorch sees no GPU, but the run was started with --gpus 2"):
        run_project(data="pictures")


@pytest.mark.parametrize(
    ("file", "classes", "target"),
    [
        ("", ["bright", "dark"], None),
        ("kinds.csv", ["big", "small"], "kind"),
        ("prices.csv", [], "price"),
        ("all.csv", [], "price"),
    ],
)
def test_the_onnx_file_takes_raw_inputs_by_what_it_says_of_them(
    run_project: Callable[..., Run], data: Path, small: Path, tmp_path: Path,
    file: str, classes: list[str], target: str | None,
) -> None:  # fmt: skip
    table(data)
    of_table = {"data": file, "categories": "embedding"}
    of_pictures = {"data": "pictures", "layers": small, "image_size": 16}
    run = run_project(epochs=2, batch_size=8, **(of_table if file else of_pictures))
    folder = tmp_path / "export"
    folder.mkdir()
    for name in ("model.onnx", samples.ARTIFACT):
        shutil.copy(artifacts(run) / name, folder)
    mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/model", dst_path=str(folder))

    report = onnx_of_run.export(folder, run.info.run_id)

    assert report["same_class"] == 1
    assert report["max_difference"] < 1e-4
    assert report["classes"] == classes
    described = Predictor.open(folder / "onnx" / "model.onnx").description
    assert (described.run_id, described.target) == (run.info.run_id, target)
