"""A network with what stands before and behind it: raw inputs in, probabilities or quantities out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainkit.data.table.target import misfit
from trainkit.torch.network import Network

CLASSIFICATION = ("CrossEntropyLoss", "NLLLoss", "BCEWithLogitsLoss")
_REGRESSION: Mapping[str, type[nn.Module]] = {
    "MSELoss": nn.MSELoss,
    "L1Loss": nn.L1Loss,
    "HuberLoss": nn.HuberLoss,
}
# What PyTorch's losses of classes have inside, so that it must not be done twice.
_INSIDE = {
    "CrossEntropyLoss": ("Softmax", "LogSoftmax"),
    "NLLLoss": ("Softmax", "LogSoftmax"),
    "BCEWithLogitsLoss": ("Sigmoid",),
}
_BENDS = ("ReLU", "Sigmoid", "Tanh", "GELU", "SiLU", "ELU", "LeakyReLU", "Softmax", "LogSoftmax")


@dataclass(frozen=True)
class Scale:
    """`(raw - shift) * factor` is what a network works with; one number, or one a column."""

    shift: Tensor
    factor: Tensor


def outputs_needed(loss: str, classes: int, target: str = "the data") -> int:
    """How wide the last layer has to be; `classes` is 0 for a quantity, `target` what is learnt, in words.

    Raises `InputError` for a misfit.
    """
    fitting: Sequence[str] = list(_REGRESSION)
    if classes:
        fitting = [name for name in CLASSIFICATION if classes == 2 or name != "BCEWithLogitsLoss"]
    if loss not in fitting:
        raise misfit("--loss", loss, target, classes, fitting)
    return 1 if loss == "BCEWithLogitsLoss" else max(classes, 1)


class Model(nn.Module):  # type: ignore[misc]  # the host that checks types has no torch
    """`forward` takes raw inputs and answers as a user wants it; `scores` is what the loss takes.

    Answers are the probabilities of the classes, (n, classes), or quantities in the target's units, (n, 1).
    """

    def __init__(self, network: Network, loss: str, inputs: Scale, target: Scale | None = None) -> None:
        """`target` scales a quantity for the loss. Raises `InputError` where network and loss misfit."""
        super().__init__()
        ends_with = network.rows[-1].layer
        inside = ends_with.name in _INSIDE.get(loss, ())
        if loss == "NLLLoss" and not inside:
            raise ends_with.wrong(
                "is the last, but NLLLoss takes logarithms of probabilities.",
                "End with `- LogSoftmax`, or use CrossEntropyLoss.",
            )
        self.network = network.module[:-1] if inside else network.module
        self.loss_name = loss
        self.remark = _remark(ends_with.name, loss, inside)
        self.register_buffer("input_shift", inputs.shift)
        self.register_buffer("input_factor", inputs.factor)
        self.register_buffer("target_shift", target.shift if target else torch.zeros(1))
        self.register_buffer("target_factor", target.factor if target else torch.ones(1))

    def forward(self, raw: Tensor) -> Tensor:
        """Raw inputs, (n, *input_shape), as answers."""
        return self.answers(self.scores(raw))

    def scores(self, raw: Tensor) -> Tensor:
        """(n, outputs): logits, or quantities in units of their deviation."""
        # Large numbers, such as a time in seconds, keep their digits until they are scaled.
        return self.network(((raw - self.input_shift) * self.input_factor).to(torch.float32))

    def answers(self, scores: Tensor) -> Tensor:
        """Scores as answers."""
        if self.loss_name == "BCEWithLogitsLoss":
            second = torch.sigmoid(scores)
            return torch.cat([1 - second, second], dim=1)
        if self.loss_name in CLASSIFICATION:
            return torch.softmax(scores, dim=1)
        return scores / self.target_factor + self.target_shift

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """The mean loss; `target` is (n,): classes' numbers, or quantities in their own units."""
        if self.loss_name == "BCEWithLogitsLoss":
            return nn.functional.binary_cross_entropy_with_logits(scores[:, 0], target.to(scores.dtype))
        if self.loss_name in CLASSIFICATION:
            # With the LogSoftmax taken off, NLLLoss is the same.
            return nn.functional.cross_entropy(scores, target.long())
        scaled = ((target - self.target_shift) * self.target_factor).to(scores.dtype)
        return _REGRESSION[self.loss_name]()(scores[:, 0], scaled)


def _remark(last: str, loss: str, inside: bool) -> str | None:
    if inside and last != "LogSoftmax":
        return f"{loss} is taken before the last layer, {last}, because PyTorch's has one inside."
    if not inside and last in _BENDS:
        return f"Warning: the last layer is {last}, so not every value can come out; mostly a Linear is last."
    return None


def pixel_scale() -> Scale:
    """0 … 255 to 0 … 1."""
    return Scale(torch.zeros(1), torch.full((1,), 1 / 255))


def standard_scale(values: Tensor) -> Scale:
    """The mean to 0 and the deviation to 1, column by column; a column of one value becomes 0."""
    # Not by the deviation, which rounding makes a little more than 0.
    varies = values.amax(dim=0) > values.amin(dim=0)
    factor = torch.where(varies, 1 / values.std(dim=0, correction=0), 0.0)
    return Scale(values.mean(dim=0), factor)
