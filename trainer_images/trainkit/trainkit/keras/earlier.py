"""The weights of a Keras model that an earlier run has logged."""

from pathlib import Path

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
from mlflow.models import Model

from trainkit.models import warm_start


def load(model: keras.Model, folder: Path) -> list[str]:
    """Give the model the weights of MLflow's model in the folder; returns its classes, if it says them.

    Raises `InputError` where it is not of Keras, or has other layers.
    """
    file = next(folder.rglob("*.keras"), None) if folder.is_dir() else None
    if file is None:
        raise warm_start.misplaced("Keras")
    saved = keras.models.load_model(file, compile=False)
    warm_start.check_shapes(_shapes(model), _shapes(saved))
    model.set_weights(saved.get_weights())
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it works with what it made of its weights earlier
    return list((Model.load(str(folder)).metadata or {}).get("class_names", []))


def _shapes(model: keras.Model) -> list[tuple[str, tuple[int, ...]]]:
    return [(weight.path, tuple(weight.shape)) for weight in model.weights]
