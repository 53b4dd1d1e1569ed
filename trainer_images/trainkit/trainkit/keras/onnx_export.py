"""A trained Keras model as an ONNX graph: by tf2onnx from TensorFlow, by torch.onnx from PyTorch."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
import numpy as np
import onnx
from onnx import numpy_helper

from trainkit.errors import InputError
from trainkit.models.exported import Exported
from trainkit.models.samples import ARTIFACT, Samples

if TYPE_CHECKING:
    import tensorflow as tf

INPUT, OUTPUT, EMBEDDING = "pixels", "probabilities", "embedding"
_OPSET = 18


def of_model(folder: Path, samples: Samples | None) -> Exported:
    """As `trainkit.models.export.Exporter` says."""
    file = next(folder.rglob("*.keras"), None)
    if file is None or samples is None:
        raise InputError(
            f"The run has no {ARTIFACT}, which says what its Keras model takes."
            if file
            else "The run's Keras model is not in a .keras file.",
            "Run the project again with this version of trainer.",
        )
    try:
        model = keras.models.load_model(file, compile=False)
    except (ValueError, TypeError, OSError) as error:
        raise InputError(
            f"Keras cannot load the model: {str(error).strip().partition(chr(10))[0]}",
            "A layer of your own has to be registered: @keras.saving.register_keras_serializable().",
        ) from None
    graph = export(model)
    described = samples.description.model_copy(
        update={
            "output": OUTPUT,
            "embedding": EMBEDDING if EMBEDDING in [output.name for output in graph.graph.output] else None,
            "framework": f"keras {keras.__version__}",
        }
    )
    return Exported(graph, described, samples)


def export(model: keras.Model) -> onnx.ModelProto:
    """The graph of an image classifier: `pixels`, (n, size, size, 3), to `probabilities` and, where the layer
    before the last tells it, to `embedding`. Layers that change pictures in training alone are left out.

    Raises `InputError` where the backend of this process has no way to ONNX.
    """
    backend = keras.backend.backend()
    exporter = _EXPORTERS.get(backend)
    if exporter is None:
        raise InputError(
            f"Keras's backend {backend} has no way to ONNX.",
            "Add tensorflow and tf2onnx, or torch and onnxscript, to the image's requirements.",
        )
    return exporter(_with_embedding(model))


def _with_embedding(model: keras.Model) -> keras.Model:
    """The same model with a second output: what its last layer is given, if that is a vector."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise InputError(
            f"The model has {len(model.inputs)} inputs and {len(model.outputs)} outputs.",
            "Models with one of each can be exported.",
        )
    output = model.outputs[0]
    outputs: dict[str, object] = {OUTPUT: output}
    made_by = output._keras_history
    given = made_by.operation._inbound_nodes[made_by.node_index].input_tensors
    if len(given) == 1 and len(given[0].shape) == 2:
        outputs[EMBEDDING] = given[0]
    return keras.Model(model.inputs[0], outputs)


def _answers(model: keras.Model, pixels: object) -> Mapping[str, object]:
    answers = model(keras.ops.cast(pixels, "float32"), training=False)
    # In mixed precision features are half floats.
    return {name: keras.ops.cast(value, "float32") for name, value in answers.items()}


def _by_tf2onnx(model: keras.Model) -> onnx.ModelProto:
    import tensorflow as tf

    np.object = object  # type: ignore[attr-defined]  # what tf2onnx 1.17 uses, and NumPy 2 has no more
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    pixels = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name=INPUT)
    function = tf.function(lambda pixels: _answers(model, pixels), input_signature=[pixels])
    graph, _ = tf2onnx.convert.from_function(function, input_signature=[pixels], opset=_OPSET)
    _fill_in(graph, function.get_concrete_function())
    return graph


def _fill_in(graph: onnx.ModelProto, function: "tf.types.experimental.ConcreteFunction") -> None:
    """Constants that a layer made outside of the function, such as a mean, are inputs to tf2onnx."""
    captured = {inside.name: outside for outside, inside in function.graph.captures}
    used = {name for node in graph.graph.node for name in node.input}
    for value in [value for value in graph.graph.input if value.name in captured]:
        graph.graph.input.remove(value)
        if value.name in used:
            array = np.asarray(captured[value.name])
            graph.graph.initializer.append(numpy_helper.from_array(array, value.name))


def _by_torch(model: keras.Model) -> onnx.ModelProto:
    import torch

    class Answers(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: torch.Tensor) -> tuple[object, ...]:
            return tuple(_answers(self.model, pixels).values())

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    example = torch.zeros((2, *model.input_shape[1:]), dtype=torch.uint8)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        program = torch.onnx.export(
            Answers().cpu().eval(),
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(model.output),
            dynamic_shapes=({0: torch.export.Dim("samples")},),
            verbose=False,
        )
        program.save(str(path), external_data=False)
        return onnx.load(path)


_EXPORTERS: Mapping[str, Callable[[keras.Model], onnx.ModelProto]] = {
    "tensorflow": _by_tf2onnx,
    "torch": _by_torch,
}
