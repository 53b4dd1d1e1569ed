"""`trainer run --warm-start`: which runs have a model that goes on, and what the new run is told of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from trainer.plan.warm_start import WarmStart
from trainer.runs import resolve, server, stored_run
from trainer.runs.ui import description
from trainer.tracking.artifacts import listing, logged_models
from trainer.tracking.artifacts.listing import Artifact
from trainer.tracking.client import Client, Run
from trainer.tracking.endpoint import Server
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Reply, Result, put, run_plan
from unit.runs.helpers import pins_of

Trainer = Callable[..., Result]
ID = "ab12" * 8
RUN = Run(ID, "7", "brave-hen", "FINISHED", "mlflow-artifacts:/7/x/artifacts", url="http://here/#/runs/ab12")


@dataclass
class Earlier:
    """The run as its server has it."""

    run: Run = RUN
    artifacts: list[str] = field(default_factory=list)
    flavors: frozenset[str] | None = frozenset({"keras", "python_function"})


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> Earlier:
    """A finished run of the project demo, which says where it takes the weights of another run."""
    put(workspace.projects / "demo" / "train.py", "warm_start.load(model)\n")
    told = Earlier()
    monkeypatch.setattr(resolve, "resolve", lambda *_: None)
    monkeypatch.setattr(server, "run_of", lambda *_: (None, told.run))
    pinned = pins_of(run_plan(workspace.projects / "demo", parameters={"epochs": "5"}))
    monkeypatch.setattr(stored_run, "pins_of", lambda *_: pinned)
    monkeypatch.setattr(listing, "of_run", lambda *_: [Artifact(path, 1) for path in told.artifacts])
    monkeypatch.setattr(logged_models, "flavors", lambda *_: told.flavors)
    return told


def refused(done: Result, message: str, hint: str) -> None:
    assert (done.code, done.out, done.err) == (2, "", f"Error: {message}\nHint:  {hint}\n")


@pytest.mark.parametrize(("artifacts", "model"), [([], "model"), (["layers.yaml", "model.pt"], "model.pt")])
def test_the_model_arrives_as_an_input(
    trainer: Trainer, earlier: Earlier, artifacts: list[str], model: str
) -> None:
    earlier.artifacts = artifacts
    done = trainer("run", "--warm-start", "brave-hen", "--epochs", "9", "--dry-run", "--json")
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    assert (plan["project"], plan["parameters"]["epochs"], plan["warm_start"]) == ("demo", "9", ID)
    assert plan["downloads"] == {"trainer-warm-start": f"runs:/{ID}/{model}"}
    assert plan["environment"]["TRAINER_WARM_START"] == f"/inputs/trainer-warm-start/{model}"
    assert plan["environment"]["TRAINER_WARM_START_RUN"] == ID
    table = trainer("run", "demo", "--warm-start", "brave-hen", "--dry-run").out
    assert f"--warm-start ab12ab12 (brave-hen: {model})" in table


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("RUNNING", "Wait for its end: trainer attach ab12ab12"),
        ("FAILED", "One that was cut off goes on with: trainer resume ab12ab12"),
        ("KILLED", "One that was cut off goes on with: trainer resume ab12ab12"),
    ],
)
def test_a_run_that_has_not_finished(trainer: Trainer, earlier: Earlier, status: str, hint: str) -> None:
    earlier.run = replace(RUN, status=status)
    message = f"The run brave-hen is {status}: only the model of a finished run is trained further."
    refused(trainer("run", "--warm-start", "brave-hen"), message, hint)


def test_a_run_without_such_a_model(trainer: Trainer, earlier: Earlier) -> None:
    earlier.flavors = None
    message, hint = (
        "The run brave-hen has no model to train further.",
        "`trainer show ab12ab12` lists what it has.",
    )
    refused(trainer("run", "--warm-start", "brave-hen"), message, hint)
    earlier.flavors = frozenset({"sklearn", "python_function"})
    message = "The model of the run brave-hen is of sklearn: only those of Keras and PyTorch go on."
    hint = "Start a new run with its parameters: trainer run --like ab12ab12"
    refused(trainer("run", "--warm-start", "brave-hen"), message, hint)


@pytest.mark.usefixtures("earlier")
def test_a_project_that_would_train_from_the_beginning(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.projects / "demo" / "train.py", "model.fit(x, y)\n")
    message = "--warm-start: demo does not say where it takes the weights of an earlier run."
    hint = "Call warm_start.load(model) where its model is built: from trainkit.models import warm_start"
    refused(trainer("run", "--warm-start", "brave-hen"), message, hint)
    done = trainer("run", "--warm-start", "brave-hen", "--image", "python:3.11")
    assert done.err.startswith("Error: --warm-start: demo runs in python:3.11, which has no trainkit")


@pytest.mark.usefixtures("earlier")
def test_what_cannot_be_together(trainer: Trainer) -> None:
    message = "--like and --warm-start both name the run that parameters are of."
    refused(trainer("run", "--like", "a", "--warm-start", "b"), message, "--warm-start does for both.")
    done = trainer("run", "--warm-start", "brave-hen", "--backend", "local", "--dry-run")
    assert done.err.startswith("Error: --warm-start needs a container:")


def test_the_description_leads_to_the_earlier_run(workspace: Workspace) -> None:
    plan = run_plan(workspace.projects / "demo", warm_start=WarmStart(ID, "brave-hen", "model", RUN.url))
    note = description.of(plan, {}, "cd34" * 8)
    assert "\ntrainer run demo --warm-start ab12ab12\n" in note
    assert f"It trains the model of [a run]({RUN.url}) further: `ab12ab12`." in note


@pytest.mark.parametrize("uri", ["../x", "model/../../other"])
def test_a_record_that_names_anything_else_is_not_taken(uri: str) -> None:
    assert WarmStart(ID, "", "model").is_valid
    assert not WarmStart(ID, "", uri).is_valid
    assert not WarmStart(uri, "", "model").is_valid


MLMODEL = "flavors: {keras: {a: 1}, python_function: {}}"


def test_the_kinds_of_a_model_of_its_own_and_of_one_among_the_artifacts(
    http_server: HttpServer,
) -> None:
    client = Client(Server(f"http://127.0.0.1:{http_server.port}"))
    prefix = "/api/2.0/mlflow-artifacts/artifacts/7/x/artifacts/model/MLmodel"
    missing = Reply(404, '{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No"}')
    http_server.replies = {
        prefix.replace("model/", "third/"): [missing],
        prefix: [missing],
        "/api/2.0/mlflow/logged-models/m-1": [Reply(body=json.dumps({"model": {"info": {"name": "model"}}}))],
        "/api/2.0/mlflow/logged-models/m-2": [Reply(body=json.dumps({"model": {"info": {"name": "other"}}}))],
        "/ajax-api/2.0/mlflow/logged-models/m-1/artifacts/files": [Reply(body=MLMODEL)],
    }  # fmt: skip
    run = replace(RUN, models=("m-1", "m-2"))
    assert logged_models.flavors(client, run, "model") == frozenset({"keras", "python_function"})
    assert logged_models.flavors(client, run, "third") is None
    http_server.replies[prefix] = [Reply(body=MLMODEL.replace("keras", "sklearn"))]
    assert logged_models.flavors(client, run, "model") == frozenset({"sklearn", "python_function"})
