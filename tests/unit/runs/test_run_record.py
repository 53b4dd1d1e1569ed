import getpass
import json
import pwd
import shlex
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from support import REPOSITORY
from trainer.datasets.inputs import Data
from trainer.errors import InvalidInput
from trainer.plan.run_plan import Rerun, RunPlan
from trainer.projects.mlproject import EntryPoint
from trainer.projects.parameters import Parameter
from trainer.runs import run_record
from trainer.runs.run_record import RunRecord
from trainer.source.snapshot import Commit
from trainer.tracking.client import Run

from unit.helpers import fails, git, put, run_plan
from unit.runs.helpers import pins_of

RUN = Run("r1", "7", "brave-hen", "FINISHED", "mlflow-artifacts:/7/r1/artifacts")
SKINS = Data("data", "skins", "ef" * 32, 5, 500)


def of(plan: RunPlan) -> RunRecord:
    return pins_of(plan, SKINS, Data("weights", "/w.h5", "01" * 32, 1, 9))


def test_the_tags_of_a_run_pin_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "somebody")
    plan = run_plan(tmp_path, gpus="all", memory="8g")
    tags = run_record.tags(of(plan))
    assert tags == {
        "mlflow.user": "somebody",
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": "train_code/demo",
        "mlflow.project.entryPoint": "main",
        "mlflow.project.backend": "trainer-docker",
        "trainer.version": version("trainer"),
        "trainer.backend": "docker",
        "trainer.command": "python train.py 'a b;$(c)'",
        "trainer.image": "trainer/small:abababababab",
        "trainer.image_digest": "ab" * 32,
        "trainer.image_id": "sha256:1234",
        "trainer.requirements_digest": "cd" * 32,
        "trainer.code_digest": "c0de",
        "trainer.gpus": "all",
        "trainer.memory": "8g",
        "trainer.deterministic": "false",
        "trainer.dataset.skins": "ef" * 32,
    }
    assert tuple(shlex.split(tags["trainer.command"])) == plan.command


def test_in_git_commit_branch_and_remote_are_named_without_a_password(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "-b", "main")
    put(tmp_path / "a")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    assert "mlflow.source.git.repoURL" not in run_record.tags(of(run_plan(tmp_path)))
    git(tmp_path, "remote", "add", "origin", "https://me:s3cret@git.example.com/team/models.git")
    tags = run_record.tags(of(run_plan(tmp_path)))
    assert tags["mlflow.source.git.commit"] == git(tmp_path, "rev-parse", "HEAD").strip()
    assert (tags["mlflow.source.git.branch"], tags["trainer.git_dirty"]) == ("main", "false")
    assert tags["mlflow.source.git.repoURL"] == "https://git.example.com/team/models.git"
    put(tmp_path / "b")
    assert run_record.tags(of(run_plan(tmp_path)))["trainer.git_dirty"] == "true"


def test_a_run_that_is_made_again_has_the_commit_of_the_first_and_points_to_it(tmp_path: Path) -> None:
    again = Rerun("r0", Commit("abc", True, "main", "git@example.com:x.git"), {"text": "settings"})
    made = of(run_plan(tmp_path, again=again, origins=again.origins))
    tags = run_record.tags(made)
    assert (tags["mlflow.source.git.commit"], tags["trainer.git_dirty"]) == ("abc", "true")
    assert tags["trainer.reproduces"] == made.reproduces == "r0"
    assert made.parameters["text"].origin == "settings"


def test_the_document_says_where_each_parameter_comes_from_and_is_read_again(tmp_path: Path) -> None:
    declared = EntryPoint("main", "python {text}", (Parameter("text", "path"),))
    plan = run_plan(tmp_path, declared=declared, origins={"text": "command line"})
    made = of(plan)
    payload = json.loads(json.dumps(run_record.as_json(made)))
    assert payload["parameters"] == {
        "text": {"value": "a b;$(c)", "type": "path", "origin": "command line", "in_code": None}
    }
    assert payload["command"] == {"declared": "python {text}", "run": ["python", "train.py", "a b;$(c)"]}
    assert payload["secrets"] == ["API_KEY"]
    assert payload["image"]["base_image_digest"] == "debian@sha256:9a"
    assert payload["host"]["gpus"] == ["H100, driver 580"]
    assert [item["name"] for item in payload["data"]] == ["skins", "/w.h5"]
    assert run_record.read(json.dumps(payload).encode(), RUN) == made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": None}, "image: Input should be an object."),
        ({"schema": 2}, "it has the schema 2, this trainer knows up to 1."),
    ],
)
def test_an_invalid_document_says_where(tmp_path: Path, change: dict[str, object], message: str) -> None:
    text = json.dumps({**run_record.as_json(of(run_plan(tmp_path))), **change}).encode()
    hint = f"It was damaged, or written by another trainer; this is {version('trainer')}."
    with fails(InvalidInput, f"The trainer/run.json of the run brave-hen is invalid: {message}", hint):
        run_record.read(text, RUN)
    with pytest.raises(InvalidInput):
        run_record.read(text[:40], RUN)


def test_fields_of_a_later_trainer_are_passed_over(tmp_path: Path) -> None:
    made = of(run_plan(tmp_path))
    text = json.dumps({**run_record.as_json(made), "weather": "fine"}).encode()
    assert run_record.read(text, RUN) == replace(made, environment=dict(made.environment))


def test_the_published_schema_is_that_of_the_document() -> None:
    published = json.loads((REPOSITORY / "docs" / "run.schema.json").read_text())
    assert published == TypeAdapter(RunRecord).json_schema(), "run `make schema`"


def test_a_user_without_a_name_can_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(_: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert of(run_plan(tmp_path)).user
