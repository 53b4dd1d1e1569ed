"""`trainer run --like RUN`: what is mistyped beside it."""

from collections.abc import Callable

import pytest
from trainer.runs import resolve, server, stored_run
from trainer.tracking.client import Run
from trainer.workspace.settings import Workspace

from unit.helpers import MLPROJECT, Result, put, run_plan
from unit.runs.helpers import ID, pins_of

Trainer = Callable[..., Result]


@pytest.fixture(autouse=True)
def earlier(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> None:
    """A finished run of the project demo."""
    put(workspace.projects / "demo" / "MLproject", MLPROJECT.replace("epochs", "n_epochs"))
    pinned = pins_of(run_plan(workspace.projects / "demo", parameters={"n_epochs": "5"}))
    run = Run(ID, "7", "brave-hen", "FINISHED", "mlflow-artifacts:/7/x/artifacts")
    monkeypatch.setattr(resolve, "resolve", lambda *_: None)
    monkeypatch.setattr(server, "run_of", lambda *_: (None, run))
    monkeypatch.setattr(stored_run, "pins_of", lambda *_: pinned)


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--like", "brave-hen", "--n-epoch", "3"),
        ("run", "--like", "brave-hen", "--n_epoch=3"),
        ("run", "--n-epoch", "3", "--like", "brave-hen"),
        ("run", "demo", "--like", "brave-hen", "--n-epoch", "3"),
        ("run", "demo", "--n-epoch", "3"),
    ],
    ids=" ".join,
)
def test_a_parameter_that_is_mistyped(trainer: Trainer, arguments: tuple[str, ...]) -> None:
    done = trainer(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err == "Error: demo has no parameter --n-epoch.\nHint:  Did you mean --n-epochs?\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--like", "brave-hen", "--n-epochs", "3", "demo"], "demo"),
        (["--like", "brave-hen", "--", "-"], "-"),
    ],
)
def test_a_project_after_the_options(trainer: Trainer, arguments: list[str], said: str) -> None:
    done = trainer("run", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Error: {said} stands after the options.\nHint:  trainer run {said} --like ")


def test_an_option_that_there_is_not(trainer: Trainer) -> None:
    done = trainer("run", "--like", "brave-hen", "-x", "3")
    assert (done.code, done.err) == (2, "Error: No such option '-x'.\nHint:  trainer run --help\n")
