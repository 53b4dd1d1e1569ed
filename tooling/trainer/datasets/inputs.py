"""What a run is given to learn from, by digest; `datasets.recorded` finds it out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DATASET_TAG = "trainer.dataset."


@dataclass(frozen=True)
class Data:
    """What a run is given to learn from, or another file or folder that it is given."""

    parameter: str
    name: str
    """In data/, or a path."""
    digest: str
    """64 hex digits, see `Contents.digest`."""
    files: int
    bytes: int

    @property
    def is_dataset(self) -> bool:
        """Whether it is in data/."""
        return not Path(self.name).is_absolute()

    @property
    def tag(self) -> str:
        """The tag that has its digest."""
        return tag(self.name)


def tag(name: str) -> str:
    """The tag of a dataset: MLflow takes letters, digits, blanks and `_ - . /` in a tag's name."""
    return DATASET_TAG + re.sub(r"[^\w\-. /]", "_", name)[:200]
