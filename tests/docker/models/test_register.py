"""`trainer models register`: from a run to a version of a model that answers as the run's did."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from support import Site

PLAIN = """\
import mlflow
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelPropagation
from trainkit.models import samples

with mlflow.start_run() as run:
    {code}
"""


@pytest.fixture(scope="module")
def site(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:  # noqa: ARG001
    """A workspace with its own server."""
    site = Site(tmp_path_factory.mktemp("register") / "site", port=5467)
    assert site.trainer("build-image", "sklearn", timeout_s=1200).code == 0
    yield site
    site.trainer("server", "down")


@pytest.fixture(scope="module")
def run_id(site: Site) -> str:
    ran = site.trainer("run", "sklearn", "--data", "breast_cancer", "--n-estimators", "20")
    assert ran.code == 0, ran.err
    return ran.run_id


def project(site: Site, name: str, code: str) -> str:
    """Run a script in the sklearn image; the id of its run."""
    folder = site.root / "train_code" / name
    folder.mkdir()
    (folder / "MLproject").write_text(
        f"name: {name}\ndocker_env:\n  image: trainer/sklearn\n"
        "entry_points:\n  main:\n    command: python train.py\n"
    )
    (folder / "train.py").write_text(PLAIN.format(code=code.replace("\n", "\n    ")))
    ran = site.trainer("run", name)
    assert ran.code == 0, ran.err
    return ran.run_id


def test_a_run_becomes_a_version_that_predicts_as_it_did(site: Site, run_id: str, tmp_path: Path) -> None:
    shown = site.trainer("show", run_id)
    assert f"Next: trainer models register {run_id[:8]}" in shown.out
    done = site.trainer("models", "register", run_id, "--name", "cancer", "--json")
    assert done.code == 0, done.err
    registered = json.loads(done.out)
    assert (registered["model"], registered["number"], registered["was_there"]) == ("cancer", 1, False)
    tags = registered["tags"]
    assert tags["trainer.format"] == "onnx"
    assert tags["trainer.same_class"] == "100%"
    assert float(tags["trainer.max_difference"]) < 1e-5
    file = site.artifact(run_id, "onnx/model.onnx", tmp_path)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == tags["trainer.sha256"]
    version = site.client.get_model_version("cancer", "1")
    assert (version.run_id, version.source) == (run_id, f"{site.run(run_id).info.artifact_uri}/onnx")
    after = site.trainer("show", run_id).out
    assert "registered as cancer@1" in after
    assert after.endswith("Next: trainer predict cancer@1 INPUT\n      trainer serve cancer@1\n")

    (site.root / "rows.csv").write_text(_rows())
    answers = site.trainer("predict", "cancer@1", "rows.csv", "--json")
    assert answers.code == 0, answers.err
    assert [row["class"] for row in json.loads(answers.out)["predictions"]] == ["malignant", "benign"]


def test_all_files_of_a_version_and_of_its_run_are_downloaded(site: Site, run_id: str) -> None:
    sha256 = site.client.get_model_version("cancer", "1").tags["trainer.sha256"]
    done = site.trainer("models", "download", "cancer@1", "--all")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "Next: trainer predict cancer-1/model.onnx INPUT"
    files = {path.name: path for path in (site.root / "cancer-1").iterdir()}
    assert {"MLmodel", "model.onnx"} <= files.keys()
    assert hashlib.sha256(files["model.onnx"].read_bytes()).hexdigest() == sha256
    again = site.trainer("models", "download", "cancer@1", "--all")
    assert (again.code, again.err.splitlines()[-1]) == (
        0, "cancer@1 is there already, with the same content."
    )  # fmt: skip
    files["MLmodel"].write_text("mine")
    refused = site.trainer("models", "download", "cancer@1", "--all")
    assert (refused.code, refused.error[0]) == (2, "Error: cancer-1/MLmodel exists, and is another file.")
    assert files["MLmodel"].read_text() == "mine"
    logged = json.loads(site.trainer("models", "download", run_id, "as logged", "--all", "--json").out)
    assert (logged["onnx"], (site.root / "as logged" / "MLmodel").exists()) == (None, True)


def test_a_run_is_registered_once_and_under_another_name_as_the_same_file(site: Site, run_id: str) -> None:
    first = json.loads(site.trainer("models", "register", run_id, "--name", "tumour", "--json").out)
    again = site.trainer("models", "register", run_id, "--name", "tumour")
    assert (again.code, again.out.splitlines()[0]) == (0, "tumour@1")
    assert "The run is registered already, as tumour@1." in again.err
    assert len(site.client.search_model_versions("name='tumour'")) == 1
    other = json.loads(site.trainer("models", "register", run_id, "--name", "growth", "--json").out)
    assert other["tags"]["trainer.sha256"] == first["tags"]["trainer.sha256"]


def test_a_model_that_has_no_way_to_onnx_is_registered_as_it_is(site: Site) -> None:
    run = project(
        site,
        "spread",
        "frame = __import__('pandas').DataFrame({'a': [0.0, 1, 2, 3], 'b': [1.0, 0, 1, 0]})\n"
        "model = LabelPropagation().fit(frame, ['x', 'x', 'y', 'y'])\n"
        "mlflow.sklearn.log_model(model, name='model', input_example=frame, pip_requirements=[],\n"
        "                         serialization_format='cloudpickle')",
    )
    done = site.trainer("models", "register", run)
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "spread@1"
    assert "LabelPropagation" in done.err
    assert "Serving it takes sklearn, as in the image trainer/sklearn:" in done.out
    assert "trainer predict" not in done.out
    assert site.client.get_model_version("spread", "1").source.startswith(("models:/", "mlflow-artifacts:/"))
    refused = site.trainer("predict", "spread@1", "rows.csv")
    assert (refused.code, refused.error[0]) == (
        2, "Error: spread@1 has no ONNX file: it is a model of sklearn."
    )  # fmt: skip
    assert site.trainer("show", run).out.endswith("Next: trainer models show spread@1\n")
    refused = site.trainer("models", "download", "spread@1")
    assert (refused.code, refused.error[1]) == (2, "Hint:  Download what there is: --all")
    assert site.trainer("models", "download", "spread@1", "--all").code == 0
    assert (site.root / "spread-1" / "MLmodel").exists()


def test_an_export_that_answers_otherwise_is_refused_and_nothing_is_registered(site: Site) -> None:
    run = project(
        site,
        "liar",
        "import numpy as np\n"
        "frame = __import__('pandas').DataFrame({'a': [0.0, 1, 2, 3]})\n"
        "model = LogisticRegression().fit(frame, ['x', 'x', 'y', 'y'])\n"
        "mlflow.sklearn.log_model(model, name='model', input_example=frame, pip_requirements=[],\n"
        "                         serialization_format='cloudpickle')\n"
        "from trainkit.inference.description import Description, Number, Table\n"
        "told = Description(task='classification', classes=('x', 'y'), output='probabilities',\n"
        "                   input=Table(columns=(Number(name='a'),)), framework='a fable')\n"
        "rows = samples.as_rows(frame)\n"
        "samples.log(samples.Samples(told, rows, model.predict_proba(frame)[:, ::-1]))",
    )
    done = site.trainer("models", "register", run)
    assert (done.code, done.out) == (89, "")
    assert "does not answer as the model did" in done.error[0]
    assert not site.client.search_registered_models("name='liar'")
    assert not site.client.list_artifacts(run, "onnx")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense",), "There is no run nonsense."),
        (("@last", "--name", "a/b"), "'a/b' is not valid as the name of a model."),
        (("@last", "--name", "skin@2"), "'skin@2' is not valid as the name of a model."),
    ],
)
def test_what_cannot_be_is_refused(site: Site, arguments: tuple[str, ...], message: str) -> None:
    done = site.trainer("models", "register", *arguments)
    assert (done.code, done.error[0]) == (2, f"Error: {message}")


def test_a_run_without_a_model_and_one_that_failed_are_refused(site: Site) -> None:
    empty = project(site, "empty", "mlflow.log_metric('a', 1)")
    done = site.trainer("models", "register", empty)
    assert done.code == 2
    assert "has no model." in done.error[0]
    site.client.set_terminated(empty, "FAILED")
    done = site.trainer("models", "register", empty)
    assert (done.code, "is FAILED: only the model of a finished run" in done.error[0]) == (2, True)


def _rows() -> str:
    from sklearn.datasets import load_breast_cancer

    frame = load_breast_cancer(as_frame=True).data
    text: str = frame.iloc[[0, 19]].to_csv(index=False)
    return text
