"""The weights of a PyTorch model that an earlier run has logged as `model.pt`."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import torch
from torch import nn

from trainkit.data.table.preprocessing import EMBEDDING, ONE_HOT
from trainkit.errors import InputError
from trainkit.models import warm_start


def load(
    model: nn.Module, file: Path, columns: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> list[str]:
    """Give the model the weights, and the scales of inputs and target, of the file; returns its classes.

    Raises `InputError` where it is not of PyTorch, has other layers, or was trained on other `columns` or
    `categories`, which are embedded.
    """
    if not file.is_file():
        raise warm_start.misplaced("PyTorch")
    saved = torch.load(file, map_location="cpu", weights_only=True)
    state = saved["state_dict"]
    # A model.pt of before there were embeddings says nothing of them.
    earlier: Mapping[str, Sequence[str]] = saved.get("categories", {})
    theirs, ours = ((EMBEDDING if some else ONE_HOT) for some in (earlier, categories))
    if ours != theirs:
        raise InputError(
            f"The earlier run had --categories {theirs}, and this one has {ours}.",
            f"Use --categories {theirs}.",
        )
    before = [*saved.get("columns", columns), *_each(earlier)]
    for now, then in zip_longest([*columns, *_each(categories)], before):
        if now != then:
            raise InputError(
                f"The table has other columns or categories than that of the earlier run: {now or 'none'}, "
                f"and it had {then or 'none'}.",
                "Give it a table with the same ones.",
            )
    warm_start.check_shapes(
        ((name, tuple(value.shape)) for name, value in model.state_dict().items()),
        ((name, tuple(value.shape)) for name, value in state.items()),
    )
    model.load_state_dict(state)
    return list(saved["class_names"])


def _each(categories: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{column}_{name}" for column, names in categories.items() for name in names]
