"""How fast `pytorch_layers` trains, beside plain loops of the same model."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from trainkit.torch import training
from trainkit.torch.data import Pictures
from trainkit.torch.model import Model

from gpu_check import float32_errors, torch_operations
from gpu_check.float32_errors import Operation
from gpu_check.rates import DEFAULT, FED, HELD, ON_DEVICE, OURS, Variant, Work, compare
from gpu_check.record import Finding, no_card
from gpu_check.sections import peak
from gpu_check.sections.peak import TF32, allow_tf32, wait
from gpu_check.setting import Setting
from gpu_check.workloads import made_up, torch_models

_COMPILED = "plain loop, bfloat16, torch.compile"


def find(setting: Setting) -> Iterator[Finding]:
    """Of all precisions, and of `torch.compile`. The project itself has no mixed precision."""
    count, size, batch, layers = (64, 32, 16, "cnn.yaml") if setting.small else (8192, 64, 256, "bigger.yaml")
    device = training.prepare(0)
    part = made_up.pictures(setting.place, count, size)
    train = Pictures(part)
    by = f"torch {torch.__version__}"
    yield Finding(
        "data", f"{count} images, {size} x {size} pixels, batches of {batch}, layers/{layers}", by=by
    )
    yield from float32_errors.find(*_float32(device), by)
    operations = _operations(torch_models.model(layers, size, device), train, batch, device)
    numbers = itertools.count()

    def ours(precision: str) -> Callable[[], float]:
        model = torch_models.model(layers, size, device)

        def epoch() -> float:
            training.prepare(0)
            allow_tf32(TF32.get(precision))
            checkpoints = Path(setting.folder) / f"checkpoints-{next(numbers)}"
            settings = torch_models.settings(1, batch)
            first: list[float] = []
            training.fit(
                model, train, _First(train), settings,
                lambda _, values, __: first.append(values["seconds_epoch"]), checkpoints,
            )  # fmt: skip
            shutil.rmtree(checkpoints)
            return count / first[0]

        return epoch

    def plain(precision: str, **options: bool) -> Callable[[], float]:
        model = torch_models.model(layers, size, device)
        return _plain(model, train, batch, device, precision, **options)

    default = "TF32" if setting.card else "float32"
    variants = {
        OURS: Variant(ours(DEFAULT), default),
        FED: Variant(plain(DEFAULT), default),
        HELD: Variant(plain(DEFAULT, held=True), default),
        "plain loop, bfloat16": Variant(plain("bfloat16"), "bfloat16"),
        _COMPILED: Variant(plain("bfloat16", compiled=True), "bfloat16"),
    }
    if setting.card:
        variants |= {
            "trainkit, float32": Variant(ours("float32"), "float32"),
            "plain loop, float32": Variant(plain("float32"), "float32"),
            "trainkit, TF32": Variant(ours("TF32"), "TF32"),
            "plain loop, TF32": Variant(plain("TF32"), "TF32"),
            "plain loop, TF32, cuDNN benchmark mode": Variant(plain("TF32", benchmark=True), "TF32"),
            "plain loop, float16": Variant(plain("float16"), "float16"),
            f"plain loop, bfloat16{ON_DEVICE}": Variant(plain("bfloat16", held=True), "bfloat16"),
        }
    work = Work(operations, torch_operations.COUNTED, peak.operations_a_second, torch_operations.memory)
    yield from compare(variants, work, setting, by)
    if setting.card:
        highest = torch.cuda.max_memory_reserved() / 1e6
        yield Finding("highest memory that PyTorch had", highest, "MB", by=by)
    else:
        for label in ("TF32", "float16"):
            yield no_card(f"plain loop, {label}", by)


def _float32(device: torch.device) -> tuple[Operation, Operation]:
    """A matrix product and a convolution of arrays of NumPy, on that device."""

    def on_device(operation: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Operation:
        return lambda first, second: (
            operation(torch.from_numpy(first).to(device), torch.from_numpy(second).to(device)).cpu().numpy()
        )

    def convolution(pixels: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        channels_first = pixels.permute(0, 3, 1, 2)
        return torch.nn.functional.conv2d(channels_first, kernel.permute(3, 2, 0, 1)).permute(0, 2, 3, 1)

    return on_device(torch.matmul), on_device(convolution)


class _First:
    """The first two samples, so that judging an epoch takes no time."""

    def __init__(self, samples: Pictures) -> None:
        self._samples = samples
        self.target = samples.target[:2]

    def __len__(self) -> int:
        """Two."""
        return 2

    def inputs(self, positions: np.typing.NDArray[np.int64]) -> torch.Tensor:
        """Of the samples."""
        return self._samples.inputs(positions)


def _plain(
    model: Model, train: Pictures, batch: int, device: torch.device, precision: str,
    *, held: bool = False, compiled: bool = False, benchmark: bool = False,
) -> Callable[[], float]:  # fmt: skip
    """An epoch as one writes it in a minute, without deterministic algorithms."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    # On a CPU its own compiler calls a C++ compiler for a minute.
    compiler = "inductor" if device.type == "cuda" else "aot_eager"
    scores = torch.compile(model.scores, backend=compiler) if compiled else model.scores
    kind = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(precision)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
    first = np.arange(batch)
    inputs, target = train.inputs(first).to(device), train.target[torch.from_numpy(first)].to(device)

    def epoch() -> float:
        allow_tf32(TF32.get(precision))
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = benchmark
        model.train()
        begun = time.perf_counter()
        for start in range(0, len(train) - batch + 1, batch):
            if held:
                pixels, truth = inputs, target
            else:
                positions = np.arange(start, start + batch)
                pixels = train.inputs(positions).to(device)
                truth = train.target[torch.from_numpy(positions)].to(device)
            optimizer.zero_grad()
            with torch.autocast(device.type, dtype=kind, enabled=kind is not None):
                loss = model.loss(scores(pixels), truth)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        wait(device.type)
        return len(train) // batch * batch / (time.perf_counter() - begun)

    return epoch


def _operations(model: Model, train: Pictures, batch: int, device: torch.device) -> float:
    """Floating point FLOPs of a training step for one sample."""
    positions = np.arange(batch)

    def step() -> None:
        target = train.target[torch.from_numpy(positions)].to(device)
        model.loss(model.scores(train.inputs(positions).to(device)), target).backward()

    return torch_operations.count(step) / batch
