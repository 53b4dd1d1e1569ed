"""`trainer serve deploy`, as it is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from unit.helpers import DEAD_ENGINE, Result
from unit.model_server import served

Trainer = Callable[..., Result]


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(served.churn(tmp_path / "churn.onnx"))


def test_a_dry_run_prints_every_step_and_asks_nobody(
    trainer: Trainer, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEROKU_HOST", raising=False)
    command = (
        "serve",
        "deploy",
        model,
        "--platform",
        "heroku",
        "--app",
        "my-churn",
        "--region",
        "eu",
        "--dry-run",
    )
    done = trainer(*command)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith(" 1  Have the image trainer/serve-churn:")
    assert "      heroku apps:create my-churn --stack container --no-remote --region eu" in lines
    assert (
        '      PATCH https://api.heroku.com/apps/my-churn/config-vars {"MODEL_SERVER_TOKEN": "***"}' in lines
    )
    assert "      push registry.heroku.com/my-churn/web, by the engine, with the login in a header" in lines
    steps = json.loads(trainer(*command, "--json").out)["steps"]
    assert [step["step"] for step in steps] == [
        "image", "login", "find", "create", "look", "stack", "config", "push", "release", "scale", "check"
    ]  # fmt: skip


def test_what_cannot_be_is_refused_before_anything_is_made(trainer: Trainer, model: str) -> None:
    options = ("--platform", "heroku", "--app")
    refused = trainer("serve", "deploy", model, *options, "My App")
    assert (refused.code, refused.err.splitlines()[0]) == (
        2, "Error: My App cannot be the name of an app on Heroku."
    )  # fmt: skip
    refused = trainer("serve", "deploy", "none.onnx", *options, "my-churn")
    assert (refused.code, refused.err.splitlines()[0]) == (2, "Error: There is no file none.onnx.")
    refused = trainer("serve", "deploy", model, *options, "my-churn")
    assert refused.code == 82
    assert f"Error: No Docker engine answers at {DEAD_ENGINE}." in refused.err
