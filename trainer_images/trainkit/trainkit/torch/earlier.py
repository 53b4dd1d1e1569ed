"""The weights of a PyTorch model that an earlier run has logged as `model.pt`."""

from pathlib import Path

import torch
from torch import nn

from trainkit.models import warm_start


def load(model: nn.Module, file: Path) -> list[str]:
    """Give the model the weights, and the scales of inputs and target, of the file; returns its classes.

    Raises `InputError` where it is not of PyTorch, or has other layers.
    """
    if not file.is_file():
        raise warm_start.misplaced("PyTorch")
    saved = torch.load(file, map_location="cpu", weights_only=True)
    state = saved["state_dict"]
    warm_start.check_shapes(
        ((name, tuple(value.shape)) for name, value in model.state_dict().items()),
        ((name, tuple(value.shape)) for name, value in state.items()),
    )
    model.load_state_dict(state)
    return list(saved["class_names"])
