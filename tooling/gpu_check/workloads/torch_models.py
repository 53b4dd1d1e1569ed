"""`pytorch_layers`' network for made-up pictures."""

from __future__ import annotations

from pathlib import Path

import torch
from trainkit.torch import layers as torch_layers
from trainkit.torch import network as torch_network
from trainkit.torch.model import Model, pixel_scale
from trainkit.torch.training import Settings

from gpu_check.workloads.made_up import CLASSES

_LAYERS = Path(__file__).parents[3] / "train_code" / "pytorch_layers" / "layers"


def model(layers: str, size: int, device: torch.device) -> Model:
    """The network of a file in layers/, with the same weights each time."""
    torch.manual_seed(0)
    parsed = torch_layers.parse(torch_layers.read(_LAYERS / layers), CLASSES)
    network = torch_network.build(parsed, (3, size, size), CLASSES, 32)
    model_built = Model(network, "CrossEntropyLoss", pixel_scale())
    model_built.to(device)
    return model_built


def settings(epochs: int, batch_size: int) -> Settings:
    """As the project's own, never stopped early."""
    return Settings("Adam", 0.001, 0.9, batch_size, epochs, 0, 0)
