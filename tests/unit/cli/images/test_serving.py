"""`trainer build-image serve`, before an engine is asked."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer.models.kept import ModelFile
from trainer.serving import baked
from trainer.workspace.settings import Workspace

from unit.helpers import Result
from unit.model_server import served

Trainer = Callable[..., Result]


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(served.churn(tmp_path / "churn.onnx"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("small --model MODEL", "The image serve is built with no others, and --model and --tag are for it."),
        ("serve small", "The image serve is built with no others, and --model and --tag are for it."),
        ("serve --tag a:1", "--tag is for an image with a model."),
        ("serve --model none.onnx", "There is no file none.onnx."),
        ("serve --model MODEL --pin-base", "--pin-base is not for the image serve, which has no image.yaml."),
        ("serve --model MODEL --tag A", "--tag is 'A', which is not an image reference."),
    ],
)
def test_what_cannot_be_is_refused(trainer: Trainer, model: str, arguments: str, said: str) -> None:
    refused = trainer("build-image", *arguments.replace("MODEL", model).split())
    assert refused.code == 2
    [error, hint] = refused.err.splitlines()
    assert error == f"Error: {said}"
    assert hint.startswith("Hint:  ")


def test_a_dry_run_prints_both_builds(trainer: Trainer, workspace: Workspace, model: str) -> None:
    done = trainer("build-image", "serve", "--model", model, "--tag", "churn:3", "--base-image", "debian:12",
                   "--dry-run")  # fmt: skip
    plan = baked.plan(workspace, ModelFile(Path(model), model), tag="churn:3", base_image="debian:12")
    assert (done.code, done.err) == (0, "")
    assert [shlex.split(line) for line in done.out.splitlines()] == [
        plan.parent.build_command(), plan.build_command()
    ]  # fmt: skip
    bare = trainer("build-image", "serve", "--base-image", "debian:12", "--dry-run")
    assert [shlex.split(line) for line in bare.out.splitlines()] == [plan.parent.build_command()]
