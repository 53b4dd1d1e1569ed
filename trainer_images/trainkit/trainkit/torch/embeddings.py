"""Categories as vectors that are learnt: an `nn.Embedding` for each column of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainkit.data.table.cells import UNKNOWN

# As fast.ai has it: a network begins with categories that hardly differ.
_DEVIATION = 0.01


@dataclass(frozen=True)
class Embedding:
    """What a column of categories becomes: one of `vectors`, each of `width` numbers."""

    column: str
    vectors: int
    width: int

    @property
    def parameters(self) -> int:
        """How many numbers are learnt, and the zeros of the unknown category."""
        return self.vectors * self.width

    def __str__(self) -> str:
        """`Embedding(5, 4)`."""
        return f"Embedding({self.vectors}, {self.width})"


def of(categories: Mapping[str, Sequence[str]]) -> tuple[Embedding, ...]:
    """The embedding of each column: a vector for each category, for a missing one and for an unknown one.

    Its width is by fast.ai's rule min(600, round(1.6 * vectors ** 0.56)).
    """
    counts = {column: len(names) - UNKNOWN for column, names in categories.items()}
    return tuple(
        Embedding(column, count, min(600, round(1.6 * count**0.56))) for column, count in counts.items()
    )


class Embeddings(nn.Module):  # type: ignore[misc]  # the host that checks types has no torch
    """Takes (n, numbers + columns), the last of which are numbers of categories, and gives (n, width).

    What is a number stays. A category that training has not seen is zeros, as none of them is with one-hot.
    """

    def __init__(self, numbers: int, embeddings: Sequence[Embedding]) -> None:
        super().__init__()
        self.numbers = numbers
        self.tables = nn.ModuleList(nn.Embedding(e.vectors, e.width, padding_idx=0) for e in embeddings)
        for table in self.tables:
            nn.init.normal_(table.weight, std=_DEVIATION)
            with torch.no_grad():
                table.weight[table.padding_idx].zero_()

    def forward(self, samples: Tensor) -> Tensor:
        """The numbers, then the vectors in the order of the columns."""
        # The unknown one is 0, the missing one 1, the first category 2.
        indexes = samples[:, self.numbers :].long() - UNKNOWN
        vectors = [table(indexes[:, place]) for place, table in enumerate(self.tables)]
        return torch.cat([samples[:, : self.numbers], *vectors], dim=1)
