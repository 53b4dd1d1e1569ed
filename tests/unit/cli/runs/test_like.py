"""`trainer run --like RUN`: what is mistyped beside it, and what of the run cannot be had as it was."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from trainer.datasets import contents, recorded
from trainer.datasets.inputs import Data
from trainer.errors import InvalidInput
from trainer.plan.parameter_values import Origin
from trainer.runs import resolve, run_record, server, stored_run
from trainer.runs.run_record import RunRecord
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
    is_recorded(monkeypatch, pinned)


def is_recorded(monkeypatch: pytest.MonkeyPatch, pinned: RunRecord) -> None:
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


def project_with_layers(workspace: Workspace, name: str) -> Path:
    put(workspace.projects / name / "layers" / "mlp.yaml", "layers: []\n")
    put(
        workspace.projects / name / "MLproject",
        f"name: {name}\ndocker_env: {{image: trainer/small}}\nentry_points: {{main: {{parameters: "
        "{layers: {type: path, default: layers}}, command: 'python train.py {layers}'}}\n",
    )
    return workspace.projects / name / "layers"


@pytest.mark.parametrize(
    ("recorded", "origin"),
    [
        ("/gone/train_code/nets/layers", "default"),
        ("/gone/anything", "default"),
        # As --like recorded it once.
        ("/gone/train_code/nets/layers", "command line"),
        ("{root}/elsewhere/nets/layers", "command line"),
    ],
)
@pytest.mark.parametrize("project", ["nets", "mine"])
def test_a_default_path_is_that_of_the_project_that_is_run(
    trainer: Trainer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, recorded: str, origin: Origin,
    project: str,
) -> None:  # fmt: skip
    put(workspace.root / "elsewhere" / "nets" / "layers" / "mlp.yaml")
    project_with_layers(workspace, "nets")
    layers = project_with_layers(workspace, project)
    value = run_record.Parameter(recorded.format(root=workspace.root), "path", origin)
    pinned = replace(pins_of(run_plan(workspace.projects / "nets")), project="nets", entry_point="main",
                     source="train_code/nets", parameters={"layers": value})  # fmt: skip
    is_recorded(monkeypatch, pinned)
    done = trainer("run", project, "--like", "brave-hen", "--dry-run", "--json", "--backend", "docker")
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    assert (plan["parameters"], plan["origins"]) == ({"layers": str(layers)}, {"layers": "default"})


def test_a_path_that_the_run_was_given_is_kept(
    trainer: Trainer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_with_layers(workspace, "nets")
    given = put(workspace.root / "layers" / "mlp.yaml")
    for path in (given, workspace.root / "gone.yaml"):
        value = run_record.Parameter(str(path), "path", "command line")
        pinned = pins_of(run_plan(workspace.projects / "nets"))
        is_recorded(monkeypatch, replace(pinned, project="nets", parameters={"layers": value}))
        done = trainer("run", "nets", "--like", "brave-hen", "--dry-run", "--json", "--backend", "docker")
        if path == given:
            assert json.loads(done.out)["parameters"] == {"layers": str(given)}
        else:
            assert done.err.splitlines()[0] == f"Error: --layers names {path}, which is not there."


@pytest.fixture
def on_customers(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run had a table, whose place in data/ this is."""
    put(
        workspace.projects / "forest" / "MLproject",
        "name: forest\ndocker_env: {image: trainer/small}\nentry_points: {main: {command: python train.py, "
        "parameters: {data: {type: string, dataset: true, default: iris, choices: [iris]}}}}\n",
    )
    table = put(workspace.data / "customers.csv", "a,b\n1,2\n")
    had = Data("data", "customers.csv", contents.take(table, workspace.root / "index").digest, 1, 8)
    value = run_record.Parameter("customers.csv", "string", "command line")
    pinned = pins_of(run_plan(workspace.projects / "forest"), had)
    is_recorded(monkeypatch, replace(pinned, project="forest", parameters={"data": value}))
    return table


def test_a_dataset_of_the_run_that_is_not_here(
    trainer: Trainer, workspace: Workspace, on_customers: Path
) -> None:
    digest = contents.take(on_customers, workspace.root / "index").digest[:8]
    on_customers.unlink()
    done = trainer("run", "forest", "--like", "brave-hen", "--dry-run")
    had = f"customers.csv (1 file, digest {digest})"
    assert (done.code, done.err.splitlines()) == (
        2,
        [
            f"Error: brave-hen had {had}, which is not in {workspace.data}.",
            "Hint:  Put it there, pass another one with --data, "
            "or: trainer data import FILE --as customers.csv",
        ],
    )
    assert trainer("run", "forest", "--like", "brave-hen", "--data", "iris", "--dry-run").code == 0


@pytest.mark.parametrize("changed", [True, False])
def test_a_dataset_that_is_another_one_now(
    trainer: Trainer,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    on_customers: Path,
    *,
    changed: bool,
) -> None:
    launched = []
    had = contents.take(on_customers, workspace.root / "index")
    recorded.keep(workspace, had)

    def launch(*arguments: object, **_: object) -> None:
        launched.append(arguments)
        raise InvalidInput("As far as here.", "Not on.")

    monkeypatch.setattr("trainer.runs.launch.launch", launch)
    if changed:
        on_customers.write_text("a,b\n3,4\n")
    done = trainer("run", "forest", "--like", "brave-hen", "--backend", "docker")
    differs = [
        line for line in done.err.splitlines() if "customers.csv differs from that of brave-hen: " in line
    ]
    assert (len(differs), len(launched)) == (int(changed), 1)
    assert all(f"its digest was {had.digest[:8]} and is " in line for line in differs)
