"""Whether PyTorch gives the same numbers: twice, after a checkpoint, and on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from trainkit.torch import training
from trainkit.torch.data import Pictures
from trainkit.torch.training import Epoch

from gpu_check import same_twice
from gpu_check.record import Finding, checked, no_card
from gpu_check.sections.peak import TF32, allow_tf32
from gpu_check.setting import Setting
from gpu_check.workloads import made_up, torch_models

_MOST_APART = {"default precision": 1e-2, "float32": 1e-3}
_SIZE, _BATCH = 32, 32


def find(setting: Setting) -> Iterator[Finding]:
    """On the card where there is one, else on the CPU; with the precision that a run has."""
    device = training.prepare(0)
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
    labels = {
        name: f"trained on the GPU, predicts on the CPU as on the GPU in {name} within {most:g}"
        for name, most in _MOST_APART.items()
    }
    if not setting.card:
        yield from (no_card(label, by) for label in labels.values())
        return
    positions = np.arange(min(256, len(train)))
    model.eval()
    with torch.inference_mode():
        on_gpu = {}
        for name in labels:
            allow_tf32(TF32.get(name))
            on_gpu[name] = model(train.inputs(positions).to(device)).cpu()
        on_cpu = model.cpu()(train.inputs(positions))
    for name, label in labels.items():
        apart = float((on_gpu[name] - on_cpu).abs().max())
        yield Finding(f"largest difference of a probability between CPU and GPU in {name}", apart, by=by)
        yield checked(label, apart <= _MOST_APART[name], by=by)
