import os
import time

import pytest
from trainkit import timing


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    metrics: dict[str, float] = {}

    def log(name: str, value: float, step: int) -> None:
        assert step == int(os.environ.get("TRAINER_RESTARTS", "0"))
        metrics[name] = value

    monkeypatch.setattr("trainkit.timing.mlflow.log_metric", log)
    return metrics


def test_each_start_of_a_resumed_run_has_a_step_of_its_own(
    logged: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINER_RESTARTS", "2")
    with timing.timed("fit"):
        pass
    assert list(logged) == ["seconds_fit"]


def test_a_step_is_printed_and_logged(logged: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    with timing.timed("fit"):
        time.sleep(0.02)
    assert list(logged) == ["seconds_fit"]
    assert 0.02 <= logged["seconds_fit"] < 2
    assert capsys.readouterr().out == f"fit        {logged['seconds_fit']:7.2f} s\n"


def test_a_failed_step_has_no_time_and_keeps_its_error(
    logged: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError), timing.timed("fit"):
        1 / 0  # noqa: B018
    assert not logged
    assert not capsys.readouterr().out
