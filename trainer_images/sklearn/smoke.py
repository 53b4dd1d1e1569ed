"""Run inside the image: shows that what a training needs is there and works together."""

import sys
from importlib.metadata import version
from io import BytesIO
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
import onnxruntime
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from trainkit import arguments, figures, seeding, timing  # noqa: F401
from trainkit.data.datasets import load_bundled, mlflow_input
from trainkit.inference.description import Description, Number, Table
from trainkit.models.samples import PROBABILITIES
from trainkit.sklearn import onnx_export


def check(what: str, passed: bool) -> None:
    """Print the outcome; a failed check ends the smoke test with exit code 1."""
    print(f"{'ok    ' if passed else 'FAILED'}  {what}")
    if not passed:
        sys.exit(1)


PACKAGES = ("scikit-learn", "pandas", "numpy", "matplotlib", "skops", "onnx", "onnxruntime", "skl2onnx")
for package in ("mlflow-skinny", *PACKAGES, "trainkit"):
    print(f"{package} {version(package)}")

table = load_bundled("breast_cancer")
check(f"loads {table}", mlflow_input(table).digest == table.digest)

model = make_pipeline(StandardScaler(), LogisticRegression()).fit(table.features, table.target)
predicted = model.predict(table.features)
accuracy = (predicted == table.target).mean()
check(f"fits to an accuracy of {accuracy:.3f}", accuracy > 0.95)

with TemporaryDirectory() as folder:
    mlflow.sklearn.save_model(model, f"{folder}/model", pip_requirements=[])
    reloaded = mlflow.sklearn.load_model(f"{folder}/model")
check("saves and loads with the same predictions", (reloaded.predict(table.features) == predicted).all())

described = Description(
    task="classification",
    classes=tuple(map(str, model.classes_)),
    input=Table(columns=tuple(Number(name=name) for name in table.features)),
    output=PROBABILITIES,
    framework="scikit-learn",
)
graph, described = onnx_export.export(model, described)
session = onnxruntime.InferenceSession(graph.SerializeToString())
columns = {name: table.features[[name]].to_numpy(np.float64) for name in table.features}
(answers,) = session.run([described.output], columns)
same = np.allclose(answers, model.predict_proba(table.features), atol=1e-5)
check("exports to ONNX with the same predictions", same)

picture = BytesIO()
figures.confusion_matrix(table.target, predicted, table.class_names).savefig(picture)
check("draws a PNG without a display", picture.getvalue().startswith(b"\x89PNG"))
