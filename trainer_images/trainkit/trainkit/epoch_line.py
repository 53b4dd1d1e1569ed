"""The line that a training prints of an epoch."""

from collections.abc import Mapping

_VALIDATION = "val_"


def epoch_line(epoch: int, last: int, metrics: Mapping[str, float], seconds: float) -> str:
    """Number, metrics with those of the validation beside them, and time: two pairs of them fit 80 columns.

    `epoch 3/10  loss 0.4410 (val 0.5021)  accuracy 0.8512 (val 0.8190)  16.4 s`
    """
    words = [f"epoch {epoch:>{len(str(last))}}/{last}"]
    for name, value in metrics.items():
        if name.startswith(_VALIDATION) and name.removeprefix(_VALIDATION) in metrics:
            continue
        beside = metrics.get(f"{_VALIDATION}{name}")
        words.append(f"{name} {_number(value)}" + ("" if beside is None else f" (val {_number(beside)})"))
    return "  ".join([*words, f"{seconds:.{2 if seconds < 10 else 1}f} s"])


def _number(value: float) -> str:
    """Four decimals, and of a large number as many as keep it as long."""
    if not abs(value) < 1e6:  # which NaN is not either
        return f"{value:.1e}"
    return f"{value:.{max(5 - len(str(int(abs(value)))), 0)}f}"
