"""Whether PyTorch gives the same numbers: twice, after a checkpoint, and on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from trainkit.torch import training
from trainkit.torch.data import Pictures
from trainkit.torch.training import Epoch

from gpu_check import made_up, same_twice, torch_models
from gpu_check.record import Finding, checked, no_card
from gpu_check.sections.peak import allow_tf32
from gpu_check.setting import Setting

MOST_APART = 1e-3
_SIZE, _BATCH = 32, 32


def find(setting: Setting) -> Iterator[Finding]:
    """On the card where there is one, else on the CPU."""
    device = training.prepare(0)
    allow_tf32(False)
    train = Pictures(made_up.pictures(setting.place, 64 if setting.small else 2048, _SIZE))
    by = f"torch {torch.__version__} on {device}"

    def epochs(count: int, folder: str) -> tuple[list[Epoch], torch.nn.Module]:
        model = torch_models.model("cnn.yaml", _SIZE, device)
        path = Path(setting.folder) / folder
        torch_settings = torch_models.settings(count, _BATCH)
        progress = training.fit(model, train, train, torch_settings, lambda *_: None, path)
        timeless = [
            {name: value for name, value in epoch.items() if name != "seconds_epoch"}
            for epoch in progress.history
        ]
        return timeless, model

    model = yield from same_twice.findings(epochs, by)
    label = f"trained on the GPU, predicts on the CPU within {MOST_APART:g}"
    if not setting.card:
        yield no_card(label, by)
        return
    positions = np.arange(min(256, len(train)))
    model.eval()
    with torch.inference_mode():
        on_gpu = model(train.inputs(positions).to(device)).cpu()
        on_cpu = model.cpu()(train.inputs(positions))
    apart = float((on_gpu - on_cpu).abs().max())
    yield Finding("largest difference of a probability between GPU and CPU", apart, by=by)
    yield checked(label, apart <= MOST_APART, by=by)
