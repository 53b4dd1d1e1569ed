from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from trainkit.errors import InputError
from trainkit.models import warm_start


@contextmanager
def refused(message: str) -> Iterator[None]:
    with pytest.raises(InputError) as caught:
        yield
    assert caught.value.message == message


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that is to begin with the model in this folder."""
    monkeypatch.setenv("TRAINER_WARM_START", str(tmp_path))
    monkeypatch.setenv("TRAINER_WARM_START_RUN", "ab" * 16)
    return tmp_path


def test_without_an_earlier_run_nothing_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRAINER_WARM_START", raising=False)
    warm_start.load(object())
    assert not warm_start.is_asked_for()
    assert capsys.readouterr().out == ""


def test_a_model_that_cannot_go_on_is_refused(earlier: Path) -> None:  # noqa: ARG001
    with refused("A dict cannot be trained further."):
        warm_start.load({})


def test_the_first_weights_that_differ_are_named() -> None:
    ours = [("conv/kernel", (3, 3, 3, 8)), ("dense/kernel", (8, 24)), ("dense/bias", (24,))]
    theirs = [("conv_7/kernel", (3, 3, 3, 8)), ("dense_9/kernel", (8, 4)), ("dense_9/bias", (4,))]
    warm_start.check_shapes(ours, iter(ours))
    other = "The model has other layers than that of the earlier run: "
    with refused(f"{other}dense/kernel is 8 x 24, and was 8 x 4."):
        warm_start.check_shapes(ours, theirs)
    with refused(f"{other}it has 3 weights, and had 1."):
        warm_start.check_shapes(ours, theirs[:1])


def test_the_digest_is_that_of_all_files(earlier: Path) -> None:
    (earlier / "data").mkdir()
    (earlier / "data" / "model.keras").write_text("weights")
    first = warm_start.digest()
    assert warm_start.digest() == first
    (earlier / "data" / "model.keras").write_text("others")
    assert warm_start.digest() != first
