"""`python -m trainkit.models.export FOLDER RUN`: a run's model as an ONNX file, compared with its framework.

It is run in the run's image, without a network. FOLDER has what the run logged: `model/`, MLflow's model, and
where the run has them `model_samples.npz` and `model.onnx`. It gets `onnx.tar`, MLflow's model of the ONNX
file. What came of it is printed as JSON, in a line that begins with `MARK`.
"""

import hashlib
import json
import os
import sys
import tarfile
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypedDict, cast

from trainkit.errors import InputError

if TYPE_CHECKING:
    from trainkit.inference.description import Description
    from trainkit.models.exported import Exported
    from trainkit.models.samples import Samples

UNEXPORTED, MISMATCH = 3, 4
"""Exit codes: there is no way to ONNX, or the answers differ. A `Refusal` is printed."""
MARK = "trainkit.models.export "
ONNX = "onnx"
"""What the folder with MLflow's model of the ONNX file is called, here and among the artifacts of the run."""
FILE = "model.onnx"
PACKED = "onnx.tar"
MODEL = "model"
WHY = "why.json"
"""Beside a model that has no way to ONNX, for `as_logged`: why, and the run that it is from."""
_EXPORTERS: Mapping[str, str] = {
    "keras": "trainkit.keras.onnx_export",
    "tensorflow": "trainkit.keras.onnx_export",
    "sklearn": "trainkit.sklearn.onnx_export",
}
"""By the flavor of MLflow's model."""
_KERAS_BACKENDS = {"tensorflow": "tf2onnx", "torch": "onnxscript"}
"""Those that have a way to ONNX, and what it takes: a model is not bound to the one it was trained on."""


class Exporter(Protocol):
    """A module of a framework."""

    def of_model(self, folder: Path, samples: "Samples | None") -> "Exported":
        """The MLflow model in the folder as an ONNX graph. Raises `InputError` where it has no way there."""


class Report(TypedDict):
    """What was exported. `max_difference` and `same_class` are of `samples` inputs: see `comparison`."""

    framework: str
    task: str
    classes: list[str]
    target: str | None
    max_difference: float
    same_class: float
    samples: int
    sha256: str
    bytes: int


class Refusal(TypedDict):
    """Why there is no ONNX file, and what to do."""

    message: str
    hint: str


def export(folder: Path, run_id: str) -> Report:
    """Write FOLDER/onnx.tar. Raises `InputError` where that cannot be, of it `comparison.Mismatch`."""
    from trainkit.inference import description
    from trainkit.models import comparison
    from trainkit.models import samples as samples_of_run

    file, artifact = folder / FILE, folder / samples_of_run.ARTIFACT
    samples = samples_of_run.read(artifact.read_bytes()) if artifact.is_file() else None
    if not file.is_file():  # else the run itself has exported its model
        exported = _exporter(folder / MODEL).of_model(folder / MODEL, samples)
        exported.write(file, run_id)
        samples = exported.samples
    described = description.read(file)
    if samples is None:
        raise InputError(
            f"The run has no {samples_of_run.ARTIFACT} to compare an ONNX file with.",
            "Run the project again with this version of trainer.",
        )
    compared = comparison.compare(file, samples)
    _save(folder, described, samples)
    with tarfile.open(folder / PACKED, "w") as archive:
        archive.add(folder / ONNX, ONNX)
    content = (folder / ONNX / FILE).read_bytes()
    return Report(
        framework=described.framework,
        task=described.task,
        classes=list(described.classes),
        target=described.target,
        max_difference=compared.max_difference,
        same_class=compared.same_class,
        samples=compared.samples,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )


def _exporter(folder: Path) -> Exporter:
    from mlflow.models import Model

    flavors = set(Model.load(str(folder)).flavors)
    for flavor, module in _EXPORTERS.items():
        if flavor in flavors:
            return cast(Exporter, import_module(module))
    kind = ", ".join(sorted(flavors - {"python_function"})) or "another kind"
    raise InputError(
        f"trainer cannot export a model of {kind} to ONNX.",
        "It exports those of Keras, scikit-learn and the project pytorch_layers.",
    )


def _save(folder: Path, described: "Description", samples: "Samples") -> None:
    """MLflow's model of the ONNX file; its signature has the inputs as they come."""
    import mlflow
    import numpy as np
    import onnx
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    path = folder / ONNX
    answers = TensorSpec(np.dtype("float32"), (-1, samples.answers.shape[1]), described.output)
    before = Model.load(str(folder / MODEL)).signature
    mlflow.onnx.save_model(
        onnx.load(str(folder / FILE)),
        str(path),
        signature=ModelSignature(before.inputs if before else None, Schema([answers])),
        # Given, because working them out takes MLflow long.
        pip_requirements=[f"{name}=={version(name)}" for name in ("onnxruntime", "numpy")],
        onnx_execution_providers=["CPUExecutionProvider"],
        metadata={"class_names": list(described.classes)},
        save_as_external_data=False,
    )
    if described.input.kind == "table" and described.input.encoding is not None:
        # MLflow would give the graph the columns, and not the numbers that they become.
        saved = Model.load(str(path))
        del saved.flavors["python_function"]
        saved.save(str(path / "MLmodel"))


def main() -> None:
    """Export what is in the folder on the command line."""
    from trainkit.models.comparison import Mismatch

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    able = [name for name, tool in _KERAS_BACKENDS.items() if find_spec(name) and find_spec(tool)]
    if able:
        os.environ["KERAS_BACKEND"] = able[0]
    try:
        print(MARK + json.dumps(export(Path(sys.argv[1]), sys.argv[2])))
    except InputError as error:
        print(MARK + json.dumps(Refusal(message=error.message, hint=error.hint)))
        sys.exit(MISMATCH if isinstance(error, Mismatch) else UNEXPORTED)


if __name__ == "__main__":
    main()
