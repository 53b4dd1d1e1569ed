"""Keras on JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import keras

from gpu_check import matrices
from gpu_check.keras_loops import Batch
from gpu_check.setting import Setting

COUNTED = "XLA's cost analysis, forward and backward pass"
_KINDS = {"float16": jnp.float16, "bfloat16": jnp.bfloat16}
State = tuple[Any, Any, Any]
"""Weights, what else the model keeps, and what the optimizer does: trees of arrays, a type that JAX lacks."""


def use_precision(name: str) -> None:
    """In mixed precision and by default, what JAX has."""
    jax_name = {"float32": "float32", "TF32": "tensorfloat32"}.get(name)
    jax.config.update("jax_default_matmul_precision", jax_name)


def placed(batch: Batch) -> Batch:
    """As arrays of JAX."""
    pixels, labels = jax.device_put(batch)
    return pixels, labels


def plain(model: keras.Model) -> Callable[[Iterable[Batch]], None]:
    """One compiled function a step."""
    step = jax.jit(_step(model), donate_argnums=0)
    state = _state(model)

    def train(batches: Iterable[Batch]) -> None:
        nonlocal state
        for pixels, labels in batches:
            state = step(state, pixels, labels)
        jax.block_until_ready(state)

    return train


def operations(model: keras.Model, batch: Batch) -> float:
    """Of the step before XLA makes it faster."""
    return float(jax.jit(_step(model)).lower(_state(model), *batch).cost_analysis()["flops"])


def peak(precision: str, setting: Setting) -> float:
    """Of one product after another."""
    edge = matrices.size(setting)
    use_precision(precision)
    matrix = jax.random.normal(jax.random.key(0), (edge, edge), _KINDS.get(precision, jnp.float32))
    multiply = jax.jit(jnp.matmul)
    last = matrix

    def product() -> None:
        nonlocal last
        last = multiply(matrix, matrix)

    return matrices.operations_a_second(product, lambda: jax.block_until_ready(last), setting)


memory = None
"""JAX cannot reset its peak."""


def highest_memory() -> float:
    """Of arrays and what XLA needs beside them."""
    return float((jax.devices()[0].memory_stats() or {})["peak_bytes_in_use"]) / 1e6


def _state(model: keras.Model) -> State:
    model.optimizer.build(model.trainable_variables)
    parts = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables
    weights, other_state, optimizer = ([variable.value for variable in part] for part in parts)
    return weights, other_state, optimizer


def _step(model: keras.Model) -> Callable[[State, Any, Any], State]:
    def step(state: State, pixels: Any, labels: Any) -> State:  # noqa: ANN401 (arrays, or what stands for one)
        weights, other_state, optimizer = state

        def loss(weights: Any) -> Any:  # noqa: ANN401
            answers, after = model.stateless_call(weights, other_state, pixels, training=True)
            right = jnp.take_along_axis(answers, labels[:, None], axis=1)
            return -jnp.log(right + 1e-7).mean(), after

        gradients, other_state = jax.grad(loss, has_aux=True)(weights)
        weights, optimizer = model.optimizer.stateless_apply(optimizer, gradients, weights)
        return weights, other_state, optimizer

    return step
