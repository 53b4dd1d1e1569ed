"""The weights of a PyTorch model that an earlier run has logged as `model.pt`."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import torch
from torch import nn

from trainkit.errors import InputError
from trainkit.models import warm_start


def load(model: nn.Module, file: Path, columns: Sequence[str] = ()) -> list[str]:
    """Give the model the weights, and the scales of inputs and target, of the file; returns its classes.

    Raises `InputError` where it is not of PyTorch, has other layers, or was trained on other `columns`.
    """
    if not file.is_file():
        raise warm_start.misplaced("PyTorch")
    saved = torch.load(file, map_location="cpu", weights_only=True)
    state = saved["state_dict"]
    for ours, theirs in zip_longest(columns, saved.get("columns", columns)):
        if ours != theirs:
            raise InputError(
                f"The table has other columns or categories than that of the earlier run: {ours or 'none'}, "
                f"and it had {theirs or 'none'}.",
                "Give it a table with the same ones.",
            )
    warm_start.check_shapes(
        ((name, tuple(value.shape)) for name, value in model.state_dict().items()),
        ((name, tuple(value.shape)) for name, value in state.items()),
    )
    model.load_state_dict(state)
    return list(saved["class_names"])
