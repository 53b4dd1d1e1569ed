"""Lists of cores, as Linux writes them."""

import pytest
from trainer.host import cores


@pytest.mark.parametrize(
    ("numbers", "text"), [((), ""), ((3,), "3"), ((0, 1, 2, 5), "0-2,5"), ((8, 1, 0), "0-1,8")]
)
def test_a_list_is_written_and_read(numbers: tuple[int, ...], text: str) -> None:
    assert cores.written(numbers) == text
    assert cores.read(text) == tuple(sorted(numbers))


def test_what_is_no_list() -> None:
    with pytest.raises(ValueError, match="x"):
        cores.read("0-x")
