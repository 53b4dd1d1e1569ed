"""--seed and --deterministic: what is planned, what the process is told, and what the run records."""

import json
from collections.abc import Callable

import pytest
from trainer.errors import InvalidInput
from trainer.plan import request
from trainer.plan.request import RunRequest
from trainer.plan.run_plan import RunPlan
from trainer.projects import mlproject
from trainer.runs import run_record
from trainer.workspace.settings import Workspace, find

from unit.helpers import DOCKER, Result, changed, fails, put
from unit.runs.helpers import pins_of

Trainer = Callable[..., Result]
HINTS = ("TRAINER_SEED", "PYTHONHASHSEED", "TRAINER_DETERMINISTIC", "CUBLAS_WORKSPACE_CONFIG")
SEEDED = """\
name: seeded
docker_env: {image: trainer/small}
entry_points:
  main:
    parameters:
      seed: {type: TYPE, default: DEFAULT, help: Of the split}
    command: python train.py {seed}
"""


@pytest.fixture
def seeded(workspace: Workspace) -> Callable[..., None]:
    def make(kind: str = "int", default: str = "7") -> None:
        text = SEEDED.replace("TYPE", kind).replace("DEFAULT", f"'{default}'")
        put(workspace.projects / "seeded" / "MLproject", text)

    make()
    return make


def make(workspace: Workspace, name: str, **said: object) -> RunPlan:
    project = mlproject.load(workspace.projects / name)
    return request.make(workspace, RunRequest(project, name, DOCKER, **said))  # type: ignore[arg-type]


def told(made: RunPlan) -> dict[str, str]:
    return {name: value for name, value in made.environment.variables.items() if name in HINTS}


def dry(trainer: Trainer, *arguments: str) -> dict[str, object]:
    done = trainer("run", *arguments, "--dry-run", "--json")
    assert (done.code, done.err) == (0, "")
    payload = json.loads(done.out)
    assert isinstance(payload, dict)
    return payload


def test_without_either_nothing_is_reported_and_nothing_recorded_of_a_seed(workspace: Workspace) -> None:
    made = make(workspace, "demo")
    assert (made.environment.seed, made.environment.deterministic, told(made)) == (None, False, {})
    tags = run_record.tags(pins_of(made))
    assert "trainer.seed" not in tags
    assert tags["trainer.deterministic"] == "false"


@pytest.mark.usefixtures("seeded")
def test_the_seed_that_a_project_declares_is_the_seed_of_the_run(
    trainer: Trainer, workspace: Workspace
) -> None:
    by_default = dry(trainer, "seeded")
    assert (by_default["seed"], by_default["command"]) == (7, ["python", "train.py", "7"])
    given = dry(trainer, "seeded", "--seed", "3")
    assert (given["seed"], given["parameters"]) == (3, {"seed": "3"})
    assert given["command"] == ["python", "train.py", "3"]
    assert dry(trainer, "seeded", "-P", "seed=3") == given
    tags = run_record.tags(pins_of(make(workspace, "seeded", seed=3)))
    assert (tags["trainer.seed"], tags["trainer.deterministic"]) == ("3", "false")


@pytest.mark.usefixtures("seeded")
def test_a_request_gives_the_seed_where_the_project_declares_one(workspace: Workspace) -> None:
    made = make(workspace, "seeded", parameters={"seed": "5"}, seed=3)
    assert (made.environment.seed, made.inputs.parameters, made.command) == (
        3,
        {"seed": "3"},
        ("python", "train.py", "3"),
    )
    assert told(made) == {"TRAINER_SEED": "3", "PYTHONHASHSEED": "3"}


def test_a_project_without_a_seed_gets_it_by_its_environment(trainer: Trainer) -> None:
    said = dry(trainer, "demo", "--seed", "3")
    assert said["seed"] == 3
    assert isinstance(said["environment"], dict)
    assert isinstance(said["parameters"], dict)
    assert said["environment"].items() >= {"TRAINER_SEED": "3", "PYTHONHASHSEED": "3"}.items()
    assert "seed" not in said["parameters"]
    assert dry(trainer, "--seed", "3", "demo") == said


@pytest.mark.usefixtures("seeded")
def test_help_has_one_seed(trainer: Trainer) -> None:
    declared = trainer("run", "seeded", "--help").out
    assert declared.count("--seed") == 1
    assert "Of the split." in declared
    assert trainer("run", "demo", "--help").out.count("--seed") == 1


@pytest.mark.parametrize(
    ("kind", "value", "seed", "hash_seed"),
    [
        ("int", "-1", -1, "4294967295"),  # Python itself does not start with less than 0
        ("int", "4294967298", 4294967298, "2"),
        ("string", "fish", None, None),
    ],
)
def test_what_a_project_takes_for_a_seed_is_its_own_affair(
    workspace: Workspace,
    seeded: Callable[..., None],
    kind: str,
    value: str,
    seed: int | None,
    hash_seed: str | None,
) -> None:
    seeded(kind, value)
    made = make(workspace, "seeded")
    again = make(
        workspace, "seeded", seed=made.environment.seed
    )  # as a run that is taken up again asks for it
    assert changed(again, origins=made.inputs.origins) == made
    assert (made.environment.seed, made.environment.variables.get("PYTHONHASHSEED")) == (seed, hash_seed)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_number_that_is_no_seed_is_refused(workspace: Workspace, seed: int) -> None:
    message, hint = f"--seed {seed} is out of range.", "Pass a whole number from 0 to 4294967295."
    with fails(InvalidInput, message, hint):
        make(workspace, "demo", seed=seed)


def test_a_deterministic_run_knows_it_and_always_has_a_seed(trainer: Trainer, workspace: Workspace) -> None:
    said = dry(trainer, "demo", "--deterministic")
    assert (said["deterministic"], said["seed"]) == (True, 0)
    made = make(workspace, "demo", deterministic=True, seed=4)
    assert told(made) == {
        "TRAINER_SEED": "4",
        "PYTHONHASHSEED": "4",
        "TRAINER_DETERMINISTIC": "1",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }
    tags = run_record.tags(pins_of(made))
    assert (tags["trainer.seed"], tags["trainer.deterministic"]) == ("4", "true")


def test_the_setting_holds_unless_the_command_says_else(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.root / "trainer.yaml", "deterministic: true\n")
    assert make(find(workspace.root), "demo").environment.deterministic
    assert dry(trainer, "demo")["deterministic"] is True
    assert dry(trainer, "demo", "--no-deterministic")["deterministic"] is False


def test_what_the_project_sets_itself_is_left_as_it_is(workspace: Workspace) -> None:
    text = (
        SEEDED.replace("TYPE", "int")
        .replace("DEFAULT", "1")
        .replace(
            "{image: trainer/small}",
            "{image: trainer/small, environment: [[CUBLAS_WORKSPACE_CONFIG, ':16:8']]}",
        )
    )
    put(workspace.projects / "own" / "MLproject", text)
    made = make(workspace, "own", deterministic=True)
    assert made.environment.variables["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
