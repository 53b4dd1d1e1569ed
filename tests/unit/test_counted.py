"""Numbers of things, in words."""

import pytest
from trainer.counted import counted


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [(0, "file", "0 files"), (1, "class", "1 class"), (2, "class", "2 classes"), (1234, "row", "1,234 rows")],
)
def test_one_is_one(number: int, noun: str, said: str) -> None:
    assert counted(number, noun) == said
