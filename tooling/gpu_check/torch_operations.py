"""Floating point operations of what PyTorch computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch.utils.flop_counter import FlopCounterMode

COUNTED = "torch.utils.flop_counter, forward and backward pass"


def count(step: Callable[[], None]) -> float:
    """Of products and convolutions."""
    # PyTorch counts the weights' gradient of a convolution as if it were of one group.
    own = {torch.ops.aten.convolution_backward: _of_gradients}
    with FlopCounterMode(display=False, custom_mapping=own) as counter:
        step()
    return float(counter.get_total_flops())


def _of_gradients(
    outputs: Sequence[int], inputs: Sequence[int], weights: Sequence[int],
    _bias: object, _stride: object, _padding: object, _dilation: object, transposed: bool,
    _output_padding: object, _groups: object, wanted: Sequence[bool], **_: object,
) -> int:  # fmt: skip
    """By the shapes of a convolution: each of its gradients takes as many as itself."""
    return 2 * prod(inputs if transposed else outputs) * prod(weights[1:]) * sum(wanted[:2])


def memory(epoch: Callable[[], float]) -> float:
    """MB that PyTorch allocates on the GPU at most, beyond what it has before."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    epoch()
    return float(torch.cuda.max_memory_allocated() - before) / 1e6
