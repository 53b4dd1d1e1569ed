"""What can be resumed, and what is said where it cannot; the journey itself is in tests/faults."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from shown import Shown
from trainer.backends import base, environments
from trainer.datasets import recorded
from trainer.images import trainer_image
from trainer.images.build import ImageOrigin
from trainer.plan import consent, request
from trainer.projects import mlproject
from trainer.runs import resume, run_record
from trainer.source import snapshot
from trainer.workspace import run_folders
from trainer.workspace.settings import Workspace, find

from unit.datasets.pictures import dataset
from unit.helpers import DOCKER, LOCAL, HttpServer, Reply, Result, put, run_plan
from unit.runs.helpers import API, HOST, ID, artifact, live, not_there, record, told

Trainer = Callable[..., Result]
TAGS = {"trainer.image_id": "says that it was made by trainer"}
MLPROJECT = """\
name: demo
docker_env: {image: trainer/small}
entry_points:
  main:
    parameters:
      data: {type: string, default: skin, dataset: true}
      epochs: {type: int, default: 3}
      note: {type: string, default: none}
    command: python train.py {data} {epochs} {note}
"""


@pytest.fixture
def offer(workspace: Workspace, http_server: HttpServer) -> Callable[..., None]:
    """Let the server have an ended run of the local backend, its environment and its data be here."""
    put(workspace.projects / "demo" / "MLproject", MLPROJECT)
    dataset(workspace.data / "skin", {"a": 2, "b": 2})
    project = mlproject.load(workspace.projects / "demo")
    plan = request.make(
        workspace,
        request.RunRequest(
            project, "train_code/demo", LOCAL, parameters={"epochs": "7"}, deterministic=False
        ),
    )
    place = environments.folder(workspace, plan.image)
    put(place / "trainer-complete")
    archive = workspace.state / "source.tar.gz"
    digest = snapshot.pack(workspace.projects / "demo", archive)
    data = recorded.take(workspace, plan.inputs.data, Shown())
    origin = ImageOrigin(place.name, (), "Python", "", "")
    pins = run_record.as_json(run_record.of(plan, origin, HOST, data, digest, None))

    def stored(path: str) -> str:
        return artifact(record(http_server), path)

    def make(status: str = "FAILED", *, tags: Mapping[str, str] = TAGS, **changes: object) -> None:
        """The run's status and tags, and what its run.json has otherwise."""
        run = {
            "info": {
                "run_id": ID,
                "experiment_id": "7",
                "run_name": "brave-hen",
                "status": status,
                "artifact_uri": f"mlflow-artifacts:/7/{ID}/artifacts",
            },
            "data": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        http_server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": run}))]
        http_server.replies[stored("trainer/run.json")] = [Reply(body=json.dumps({**pins, **changes}))]

    live(workspace, record(http_server))
    run_folders.remove(workspace, ID)
    http_server.replies[stored("train.log")] = [not_there()]
    http_server.replies[stored("trainer/source.tar.gz")] = [Reply(content=archive.read_bytes())]
    make()
    return make


def checkpoint(workspace: Workspace, name: str = "head/state.json") -> Path:
    return put(workspace.state / "cache" / "checkpoints" / ID / name)


Offer = Callable[..., None]


@pytest.mark.usefixtures("offer")
def test_a_run_with_a_checkpoint_goes_on_with_what_it_had(workspace: Workspace, trainer: Trainer) -> None:
    checkpoint(workspace)
    shown = trainer("resume", "@last", "--dry-run")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("brave-hen would resume from its last checkpoint, in trainer/small:")
    assert list(workspace.state.glob("resume-*")) == []


@pytest.mark.usefixtures("offer")
@pytest.mark.parametrize("name", [None, "unfinished-1.weights.h5", "state.pt.tmp"])
def test_without_a_checkpoint_it_starts_over_only_if_told(
    workspace: Workspace, trainer: Trainer, name: str | None
) -> None:
    if name:
        checkpoint(workspace, name)
    refused = trainer("resume", "@last", "--dry-run")
    assert (refused.code, refused.err) == (
        2,
        "Error: The run brave-hen left no checkpoint to resume from.\n"
        f"Hint:  To start it from the beginning, in the same run: trainer resume {ID[:8]} --from-scratch\n",
    )
    assert "would resume from the beginning" in trainer("resume", "@last", "--dry-run", "--from-scratch").out


@pytest.mark.parametrize(("seed", "deterministic"), [(None, False), (5, True)])
def test_it_goes_on_with_the_seed_and_as_deterministic_as_it_began(
    workspace: Workspace,
    http_server: HttpServer,
    offer: Offer,
    seed: int | None,
    deterministic: bool,
) -> None:
    put(workspace.root / "trainer.yaml", f"deterministic: {str(not deterministic).lower()}\n")
    offer(seed=seed, deterministic=deterministic)
    checkpoint(workspace)
    with resume.prepared(find(workspace.root), record(http_server), Shown()) as ready:
        assert (ready.plan.environment.seed, ready.plan.environment.deterministic) == (seed, deterministic)
        assert ready.plan.environment.variables.get("TRAINER_SEED") == (str(seed) if seed else None)


def test_an_image_that_its_tag_does_not_name_is_had_by_its_id_and_asked_for(workspace: Workspace) -> None:
    class Backend:
        def recall(self, *_: object) -> None: ...
        def is_named(self, *_: object) -> bool:
            return False

    planned = run_plan(workspace.root)
    ready = resume._in_its_image(cast(base.Backend, Backend()), planned, "sha256:1f")
    assert ready.image_reference == "sha256:1f"
    (what,) = ready.asked.wants
    assert what == f"run in the image sha256:1f, recorded as {planned.image.tag}"


@pytest.mark.usefixtures("offer")
def test_data_that_changed_is_reported(workspace: Workspace, trainer: Trainer) -> None:
    checkpoint(workspace)
    picture = next(path for path in sorted((workspace.data / "skin").rglob("*")) if path.is_file())
    picture.write_bytes(picture.read_bytes() + b"x")
    refused = trainer("resume", "@last")
    assert refused.code == 89
    name = picture.relative_to(workspace.data / "skin")
    assert refused.err.splitlines()[0] == f"Error: skin is not what the run had: {name} (changed)."


@pytest.mark.usefixtures("offer")
def test_data_that_is_gone_is_reported(workspace: Workspace, trainer: Trainer) -> None:
    shutil.rmtree(workspace.data / "skin")
    refused = trainer("resume", "@last")
    assert refused.code == 2
    assert "--data names skin, which is not in" in refused.err


@pytest.mark.usefixtures("offer")
def test_what_it_says_of_its_source_allows_it_nothing(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    checkpoint(workspace)
    project = mlproject.load(workspace.projects / "demo")
    asked = request.make(workspace, request.RunRequest(project, "train_code/demo", LOCAL)).asked
    consent.check(workspace, replace(asked, is_own=False), asked.asks)
    refused = trainer("resume", "@last")
    wants = "run on this machine without a container, with all your rights"
    assert (refused.code, refused.err.splitlines()[-2]) == (
        93,
        f"Error: The code stored with the run {ID[:8]} asks to {wants}.",
    )
    assert told(http_server) == []


@pytest.mark.usefixtures("offer")
def test_a_run_that_had_it_goes_on(workspace: Workspace, http_server: HttpServer) -> None:
    checkpoint(workspace)
    with resume.prepared(find(workspace.root), record(http_server), Shown()) as ready:
        asked = ready.plan.asked
        assert [ask.what for ask in consent.open_asks(workspace, asked)] == [
            "run on this machine without a container, with all your rights"
        ]
        assert asked.stored is not None
        consent.of_run(workspace, asked, asked.stored)
        assert consent.open_asks(workspace, asked) == ()


@pytest.mark.usefixtures("offer")
def test_an_image_that_is_gone_is_reported(workspace: Workspace, trainer: Trainer) -> None:
    checkpoint(workspace)
    shutil.rmtree(workspace.state / "environments")
    refused = trainer("resume", "@last")
    assert refused.code == 83
    assert "Error: The image of the run, trainer/small:" in refused.err


@pytest.mark.parametrize(
    ("status", "changes", "message"),
    [
        ("FINISHED", {}, "The run brave-hen is FINISHED: there is nothing to resume."),
        ("RUNNING", {}, "The server has the run brave-hen as RUNNING, and it is not on this machine."),
        ("FAILED", {"tags": {}}, "The run brave-hen was not made by trainer"),
        (
            "FAILED",
            {"code_digest": "f00d"},
            "The code that is stored with the run brave-hen is not what it ran.",
        ),
        (
            "FAILED",
            {"command": {"declared": "", "run": ["python", "train.py", "skin", "7", "***"]}},
            "The command of the run brave-hen cannot be reconstructed from its record",
        ),
    ],
)
def test_what_cannot_be_resumed(
    trainer: Trainer,
    http_server: HttpServer,
    offer: Offer,
    status: str,
    changes: dict[str, Any],
    message: str,
) -> None:
    offer(status, **changes)
    refused = trainer("resume", "@last")
    assert (refused.code, refused.err.splitlines()[0].startswith(f"Error: {message}")) == (2, True)
    assert told(http_server) == []


@pytest.mark.usefixtures("offer")
def test_a_run_that_goes_on_is_not_resumed(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    live(workspace, record(http_server))
    refused = trainer("resume", "@last")
    assert (refused.code, refused.err.splitlines()[0]) == (2, "Error: The run brave-hen has not ended.")
    assert told(http_server) == []


@pytest.mark.usefixtures("offer")
def test_a_run_without_its_code_is_not_resumed(trainer: Trainer, http_server: HttpServer) -> None:
    http_server.replies[artifact(record(http_server), "trainer/source.tar.gz")] = [not_there()]
    refused = trainer("resume", "@last")
    assert (refused.code, refused.err.splitlines()[0]) == (
        2,
        "Error: The run brave-hen has no artifact trainer/source.tar.gz.",
    )
    assert "the run never started" in refused.err


@pytest.mark.usefixtures("offer")
def test_a_run_without_its_record_is_not_resumed(trainer: Trainer, http_server: HttpServer) -> None:
    http_server.replies[artifact(record(http_server), "trainer/run.json")] = [not_there()]
    refused = trainer("resume", "@last")
    assert (refused.code, refused.err.splitlines()[0]) == (
        2,
        "Error: The run brave-hen has no artifact trainer/run.json, which says what it was made of.",
    )


def test_what_its_tags_say_is_no_matter(workspace: Workspace, http_server: HttpServer, offer: Offer) -> None:
    """Tags can be edited in MLflow's UI; what the run is made of again is what was stored with it."""
    forged = {
        "trainer.command": "rm -rf /",
        "trainer.gpus": "all",
        "trainer.image": "trainer/other:0123456789ab",
    }
    offer(tags={**TAGS, **forged})
    checkpoint(workspace)
    with resume.prepared(find(workspace.root), record(http_server), Shown()) as ready:
        assert ready.plan.command == ("python", "train.py", "skin", "7", "none")
        assert ready.plan.resources.gpus == "none"
        assert ready.plan.image.tag.startswith("trainer/small:")


@pytest.mark.usefixtures("offer")
def test_a_run_whose_code_the_server_refused_can_have_it_sent_again(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    http_server.replies[artifact(record(http_server), "trainer/source.tar.gz")] = [not_there()]
    line = json.dumps({"record": {}, "status": 413, "answer": "too large"})
    put(workspace.state / "refused" / ID / "spool" / "refused", f"{line}\n")
    refused = trainer("resume", "@last")
    assert (refused.code, refused.err.splitlines()[-1]) == (
        2,
        "Hint:  The server refused something of it. To send that again, where it ran: "
        f"trainer sync {ID[:8]} --refused",
    )


def test_the_recorded_image_is_planned_though_the_workspace_has_another(workspace: Workspace) -> None:
    recorded = trainer_image.recorded(
        workspace, "trainer/small:0123456789ab", "0123456789ab" + "0" * 52, "ff"
    )
    project = mlproject.load(workspace.projects / "demo")
    made = request.make(
        workspace, request.RunRequest(project, "train_code/demo", DOCKER, recorded_image=recorded)
    )
    assert made.image.tag == "trainer/small:0123456789ab"
    gone = trainer_image.recorded(workspace, "trainer/gone:0123456789ab", "0123456789ab" + "0" * 52, "ff")
    assert gone.tag == "trainer/gone:0123456789ab"
    assert gone.spec.folder.name == "gone"
