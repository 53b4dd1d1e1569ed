"""Keras on PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import keras
import torch

from gpu_check import torch_operations
from gpu_check.keras_loops import Batch
from gpu_check.sections import peak as products
from gpu_check.sections.peak import TF32, allow_tf32, wait

COUNTED = torch_operations.COUNTED

peak = products.operations_a_second
memory = torch_operations.memory


def use_precision(name: str) -> None:
    """Of products, and of convolutions by cuDNN."""
    allow_tf32(TF32.get(name))


def placed(batch: Batch) -> Batch:
    """As tensors."""
    pixels, labels = (torch.as_tensor(part).to(_device()) for part in batch)
    return pixels, labels


def plain(model: keras.Model) -> Callable[[Iterable[Batch]], None]:
    """With PyTorch's own optimizer."""
    optimizer = torch.optim.Adam([variable.value for variable in model.trainable_variables], lr=0.001)

    def train(batches: Iterable[Batch]) -> None:
        for batch in batches:
            optimizer.zero_grad()
            _loss(model, batch).backward()
            optimizer.step()
        wait(_device())

    return train


def operations(model: keras.Model, batch: Batch) -> float:
    """Of products and convolutions."""
    return torch_operations.count(lambda: _loss(model, batch).backward())


def highest_memory() -> float:
    """Of tensors and what PyTorch keeps for later ones."""
    return float(torch.cuda.max_memory_reserved()) / 1e6


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _loss(model: keras.Model, batch: Batch) -> torch.Tensor:
    pixels, labels = (torch.as_tensor(part).to(_device()) for part in batch)
    answers = model(pixels, training=True)
    return torch.nn.functional.nll_loss(torch.log(answers + 1e-7), labels.long())
