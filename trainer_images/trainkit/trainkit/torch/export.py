"""A trained PyTorch model in the three forms that a run keeps: MLflow's, `model.pt` and `model.onnx`.

None of them needs pickled code to be loaded.
"""

import json
import logging
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

import mlflow
import numpy as np
import pandas as pd
import skops.io
import torch
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from torch import Tensor

from trainkit.data.brightness import FULL
from trainkit.data.image_data import ImageData
from trainkit.data.image_folder import VALIDATION
from trainkit.data.table import encoding
from trainkit.data.table.preprocessing import SKOPS_TYPES, signature
from trainkit.data.tables import Table
from trainkit.inference import description
from trainkit.inference.description import KEY, Description, Images
from trainkit.models import samples
from trainkit.torch import layers as torch_layers
from trainkit.torch import network as torch_network
from trainkit.torch.data import Data
from trainkit.torch.model import Model, Scale, outputs_needed

# Answers are probabilities or quantities: more than rounding makes of them.
_TOLERANCE = 1e-3
_PREPROCESSING = "preprocessing.skops"
_OUTPUT = "output"


class Saved(TypedDict):
    """What `model.pt` holds: words, numbers and tensors."""

    layers: str
    loss: str
    input_shape: list[int]
    class_names: list[str]
    columns: list[str]
    categories: dict[str, list[str]]
    state_dict: dict[str, Tensor]


def log_model(model: Model, data: Data) -> None:
    """Log the MLflow model `model`: a traced program with its weights (`torch.export`), for the CPU.

    It takes the raw inputs of `data`, (n, *input_shape), and answers with probabilities or quantities. That
    of a table takes raw rows, by the names of the columns, with what is missing. Its metadata has the names
    of the classes and, for a table, of the columns; `model.pt` names what they become, number by number.
    """
    model.cpu().eval()
    example = example_inputs(data)
    if isinstance(data.source, Table) and data.preprocessing is not None:
        _log_table_model(model, data.source, data.preprocessing, example)
        return
    answers = model(torch.from_numpy(example)).detach().numpy()
    shapes = (-1, *example.shape[1:]), (-1, *answers.shape[1:])
    signature = ModelSignature(
        Schema([TensorSpec(example.dtype, shapes[0])]), Schema([TensorSpec(answers.dtype, shapes[1])])
    )
    mlflow.pytorch.log_model(
        model,
        name="model",
        signature=signature,
        input_example=example,
        # Given, because working them out takes MLflow longer than a small training.
        pip_requirements=[f"{name}=={version(name)}" for name in ("torch", "numpy", "pandas")],
        serialization_format="pt2",
        metadata={"class_names": list(data.class_names), "columns": list(data.columns)},
    )


def _log_table_model(
    model: Model, source: Table, preprocessing: ColumnTransformer, example: NDArray[np.floating]
) -> None:
    raw = source.splits[VALIDATION].features
    answers = pd.DataFrame(
        model(torch.from_numpy(example)).detach().numpy(), columns=source.class_names or (source.target,)
    )
    program = torch.export.export(
        model, (torch.from_numpy(example),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    )
    with TemporaryDirectory() as folder:
        network, before = Path(folder) / "network.pt2", Path(folder) / _PREPROCESSING
        # A file, since MLflow would log what is given as `model_config` as parameters of the run.
        settings = Path(folder) / "settings.json"
        torch.export.save(program, network)
        skops.io.dump(preprocessing, before)
        settings.write_text(
            json.dumps({"columns": list(answers.columns), "trusted": list(SKOPS_TYPES)}), encoding="utf-8"
        )
        # It would say that it tries the example, in each run.
        logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
        mlflow.pyfunc.log_model(
            name="model",
            # Code as text, which is run when the model is loaded, where MLflow would pickle an object.
            python_model=str(Path(__file__).with_name("raw_rows.py")),
            artifacts={"network": str(network), "preprocessing": str(before), "settings": str(settings)},
            signature=signature(raw, answers),
            input_example=raw.head(2),
            pip_requirements=[
                f"{name}=={version(name)}" for name in ("torch", "numpy", "pandas", "scikit-learn", "skops")
            ],
            metadata={"class_names": list(source.class_names), "columns": list(raw)},
        )


def log_preprocessing(data: Data) -> None:
    """Log `preprocessing.skops`, which makes what `model.pt` and `model.onnx` take of a table's raw rows."""
    if data.preprocessing is not None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / _PREPROCESSING
            skops.io.dump(data.preprocessing, path)
            mlflow.log_artifact(str(path))


def log_weights(model: Model, data: Data, layers: str) -> None:
    """Log `model.pt`: the weights, the text of the layers, and what else `load` needs."""
    saved = Saved(
        layers=layers,
        loss=model.loss_name,
        input_shape=list(data.input_shape),
        class_names=list(data.class_names),
        columns=list(data.columns),
        categories={column: list(names) for column, names in data.categories.items()},
        state_dict=model.cpu().state_dict(),
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        torch.save(dict(saved), path)
        mlflow.log_artifact(str(path))


def load(path: Path) -> Model:
    """The model of a `model.pt`, in evaluation mode."""
    saved: Saved = torch.load(path, map_location="cpu", weights_only=True)
    outputs = outputs_needed(saved["loss"], len(saved["class_names"]))
    layers = torch_layers.parse(saved["layers"], outputs)
    # A model.pt of before there were embeddings has no categories.
    categories = saved.get("categories", {})
    network = torch_network.build(layers, tuple(saved["input_shape"]), outputs, 2, categories)
    state = saved["state_dict"]
    scales = [Scale(state[f"{what}_shift"], state[f"{what}_factor"]) for what in ("input", "target")]
    model = Model(network, saved["loss"], *scales)
    model.load_state_dict(state)
    model.eval()
    return model


def log_onnx(model: Model, data: Data) -> float:
    """Log `model.onnx` and, as `onnx_max_difference`, how far its answers are from PyTorch's; return that.

    The two are compared on noise and on samples of the validation split. A file whose answers differ is not
    logged: there is a warning instead. The file says what it takes and what its answers mean; the samples are
    logged too.
    """
    model.cpu().eval()
    _log_samples(model, data)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(model, torch.from_numpy(example_inputs(data)), path, describe(data))
        difference = onnx_difference(model, path, _inputs_to_compare(data))
        mlflow.log_metric("onnx_max_difference", difference)
        if difference <= _TOLERANCE:
            mlflow.log_artifact(str(path))
        else:
            print(
                f"Warning: no model.onnx: its answers differ by {difference:.2g} from PyTorch's", flush=True
            )
    return difference


def describe(data: Data) -> Description:
    """What the ONNX file of the model takes, and what its answers mean."""
    classes = data.class_names
    run = mlflow.active_run()
    return Description(
        task="classification" if classes else "regression",
        classes=classes,
        target=data.source.target if isinstance(data.source, Table) else None,
        input=_input(data),
        output=_OUTPUT,
        framework=f"torch {torch.__version__}",
        run_id=run.info.run_id if run else None,
    )


def _input(data: Data) -> Images | description.Table:
    if isinstance(data.source, ImageData):
        white = data.source.white or FULL
        return Images(
            size=data.source.size,
            layout="NCHW",
            white_integers=white.integers,
            white_floats=white.floats,
        )
    return encoding.read_off(data.preprocessing)


def _log_samples(model: Model, data: Data) -> None:
    chosen = samples.positions(len(data.validation))
    with torch.inference_mode():
        answers = model(data.validation.inputs(chosen)).numpy()
    if isinstance(data.source, ImageData):
        samples.log_images(data.source, answers)
    else:
        samples.log_rows(data.source, answers)


def export_onnx(model: Model, example: Tensor, path: Path, described: Description | None = None) -> None:
    """Write the model as an ONNX file: from `input` to `output`, for any number of samples.

    `described` is kept in its metadata.
    """
    # It would list the operators of torchvision, which no network here has.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    program = torch.onnx.export(
        model,
        (example,),
        dynamo=True,
        input_names=["input"],
        output_names=[_OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("samples")},),
        verbose=False,
    )
    if described:
        program.model.metadata_props[KEY] = described.text()
    program.save(str(path), external_data=False)


def onnx_difference(model: Model, path: Path, inputs: NDArray[np.floating]) -> float:
    """The largest difference of any answer, as a share of the spread of PyTorch's where that is above 1."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (outputs,) = session.run([_OUTPUT], {"input": inputs})
    with torch.inference_mode():
        expected = model(torch.from_numpy(inputs)).numpy()
    return float(np.abs(outputs - expected).max() / max(1.0, float(expected.std())))


def example_inputs(data: Data) -> NDArray[np.floating]:
    """The first raw inputs of the validation split: two, since one would fix the number for all time."""
    positions = np.arange(2) % len(data.validation)
    return np.ascontiguousarray(data.validation.inputs(positions).numpy(), dtype=data.input_type)


def _inputs_to_compare(data: Data) -> NDArray[np.floating]:
    """Some validation samples, and noise of the same mean and spread; categories are of samples in both."""
    positions = np.arange(min(16, len(data.validation)))
    real = data.validation.inputs(positions).numpy().astype(data.input_type)
    noise = np.random.default_rng(0).standard_normal((8, *data.input_shape))
    made = real.mean(axis=0) + noise * (real.std(axis=0) + 1e-6)
    if count := len(data.categories):
        made[:, -count:] = np.resize(real[:, -count:], (len(made), count))
    return np.concatenate([real, made.astype(data.input_type)])
