"""The layers of a Keras model, and of the models inside it, as `trainkit.models.model_layers` lists them."""

import math
from collections.abc import Iterator

import keras

from trainkit.models.model_layers import Layer, ModelLayers


def of(model: keras.Model) -> ModelLayers:
    """All layers, in Keras's order. The weights of generators of random numbers are no parameters."""
    return ModelLayers(
        name=model.name,
        framework="keras",
        parameters=_count(model.weights),
        trains=_count(model.trainable_weights),
        layers=list(_rows(model, "")),
    )


def _rows(model: keras.Model, inside: str) -> Iterator[Layer]:
    for layer in model.layers:
        yield Layer(
            name=layer.name,
            type=type(layer).__name__,
            inside=inside,
            output_shape=_shape(layer),
            parameters=_count(layer.weights),
            trains=_count(layer.trainable_weights),
        )
        if isinstance(layer, keras.Model):
            yield from _rows(layer, layer.name)


def _count(weights: list[keras.Variable]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _shape(layer: keras.layers.Layer) -> list[int | None] | None:
    try:
        output = layer.output
    except (AttributeError, ValueError):  # of a subclass whose layers were not called yet
        return None
    return list(output.shape[1:]) if hasattr(output, "shape") else None
