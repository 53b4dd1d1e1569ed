"""Run inside the image: shows that what a training needs is there and works together.

tensorflow and tensorflow-gpu have the same file; what needs a GPU is run where one was asked for.
"""

import os
import sys
from importlib.metadata import version
from io import BytesIO
from tempfile import TemporaryDirectory

from trainkit import accelerator, arguments, classification, figures, system_metrics  # noqa: F401
from trainkit.data import image_data  # noqa: F401
from trainkit.keras import backbones, feature_cache, models, onnx_export, training  # noqa: F401

# isort: split
import keras
import mlflow
import numpy as np
import onnxruntime
import psutil
import pydot
import tensorflow as tf
from keras import layers
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from PIL import features


def check(what: str, passed: bool) -> None:
    """Print the outcome; a failed check ends the smoke test with exit code 1."""
    print(f"{'ok    ' if passed else 'FAILED'}  {what}")
    if not passed:
        sys.exit(1)


for package in (
    "mlflow-skinny",
    "keras",
    "scikit-learn",
    "pandas",
    "numpy",
    "matplotlib",
    "pillow",
    "onnx",
    "onnxruntime",
    "tf2onnx",
    "trainkit",
):
    print(f"{package} {version(package)}")
for built in accelerator.built_for():
    print(f"{built['framework']}, CUDA {built['cuda']}")

gpus = tf.config.list_physical_devices("GPU")
if os.environ.get("TRAINER_GPUS", "none") != "none":
    check(f"sees {len(gpus)} GPUs", bool(gpus))
    square = tf.random.stateless_uniform((512, 512), seed=(0, 0))
    with tf.device("GPU:0"):
        product = square @ square
    check("multiplies on the GPU", "GPU" in product.device)
    with tf.device("CPU:0"):
        check("and as on the CPU", np.allclose(product, square @ square, rtol=1e-2))

keras.utils.set_random_seed(0)
labels = np.arange(64) % 2
pictures = np.random.default_rng(0).integers(0, 128, (64, 32, 32, 3), dtype=np.uint8)
pictures[labels == 1, 8:24, 8:24, 0] += 100
model = keras.Sequential(
    [
        keras.Input((32, 32, 3)),
        layers.RandomFlip("horizontal"),
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.Conv2D(16, 3, use_bias=False),
        layers.GroupNormalization(groups=8),
        layers.ReLU(),
        layers.GlobalMaxPooling2D(),
        layers.Dense(2, activation="softmax", dtype="float32"),
    ]
)
model.compile(training.OPTIMIZERS["adam"](0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(pictures, labels, epochs=12, verbose=0)
predicted = model.predict(pictures, verbose=0)
accuracy = (predicted.argmax(axis=1) == labels).mean()
check(f"fits to an accuracy of {accuracy:.3f}", accuracy > 0.95)

signature = ModelSignature(
    Schema([TensorSpec(np.dtype("uint8"), (-1, 32, 32, 3))]),
    Schema([TensorSpec(np.dtype("float32"), (-1, 2))]),
)
with TemporaryDirectory() as folder:
    mlflow.tensorflow.save_model(model, path=f"{folder}/model", signature=signature, pip_requirements=[])
    reloaded = mlflow.tensorflow.load_model(f"{folder}/model")
same = np.allclose(reloaded.predict(pictures, verbose=0), predicted, atol=1e-5)
check("saves and loads with the same predictions", same)

session = onnxruntime.InferenceSession(onnx_export.export(model).SerializeToString())
(answers,) = session.run([onnx_export.OUTPUT], {onnx_export.INPUT: pictures})
check("exports to ONNX with the same predictions", np.allclose(answers, predicted, atol=1e-5))

base = models.pretrained("efficientnetb0", 32, "none", 0)
check(f"builds {base.name} with {len(base.layers)} layers", base.output_shape == (None, 1280))

names = np.array(["no", "yes"])
picture = BytesIO()
figures.confusion_matrix(names[labels], names[predicted.argmax(axis=1)], list(names)).savefig(picture)
check("draws a PNG without a display", picture.getvalue().startswith(b"\x89PNG"))
drawing = pydot.graph_from_dot_data("digraph { input -> layers -> classes }")[0].create(format="png")
check("draws layers with graphviz", drawing.startswith(b"\x89PNG"))
check("reads JPEG, PNG and WebP", all(map(features.check, ("jpg", "zlib", "webp"))))
check(f"measures {psutil.cpu_count()} CPUs", psutil.virtual_memory().total > 0)
