"""What is said before an engine is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from unit.helpers import Result
from unit.model_server import served

Trainer = Callable[..., Result]


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(served.churn(tmp_path / "churn.onnx"))


def test_without_a_token_it_is_for_this_machine_alone(trainer: Trainer, model: str) -> None:
    refused = trainer("serve", model, "--host", "0.0.0.0")
    assert refused.code == 2
    assert "Without a token a model is served on 127.0.0.1 alone, not on 0.0.0.0." in refused.err
    assert "openssl rand -hex 32" in refused.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.onnx"], "There is no file none.onnx."),
        (["--name", "a/b"], "A model cannot be served as 'a/b'."),
        (["--memory", "much"], "A size is a number with k, m or g"),
        (["--port", "0"], "0 is not in the range"),
        (["--log-limit", "100k"], "A log takes 1m at least."),
        (["--log-limit", "huge"], "A size is a number with k, m or g"),
        (["--no-log", "--keep-inputs"], "--keep-inputs is of the log, which --no-log leaves out."),
        (["--token-file", "none"], "none cannot be read: No such file or directory."),
        (["stop"], "Specify the models to stop, or pass --all."),
        (["stop", "a", "--all"], "Specify the models to stop, or pass --all."),
    ],
)
def test_what_cannot_be_is_refused(trainer: Trainer, model: str, arguments: list[str], said: str) -> None:
    given = [model, *arguments] if arguments[0].startswith("--") else arguments
    refused = trainer("serve", *given)
    assert refused.code in (2, 92)
    assert said in refused.err


def test_a_shadow_takes_and_answers_the_same(trainer: Trainer, model: str, tmp_path: Path) -> None:
    other = served.colours(tmp_path / "colours.onnx")
    refused = trainer("serve", model, "--shadow", str(other))
    assert refused.code == 2
    assert f"{other} cannot be the shadow of {model}: it takes images, not rows." in refused.err


def test_a_token_in_the_environment_is_checked_and_not_printed(
    trainer: Trainer, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_SERVER_TOKEN", "tiny-secret")
    refused = trainer("serve", model)
    assert refused.code == 2
    assert "The token in MODEL_SERVER_TOKEN is too short" in refused.err
    assert "tiny-secret" not in refused.err + refused.out


def test_without_an_engine_that_is_said(trainer: Trainer, model: str) -> None:
    for arguments in ([model], ["list"], ["stop", "--all"], ["logs", "churn"]):
        assert trainer("serve", *arguments).code == 82
