import json
from collections.abc import Callable

import pytest
from support import REPOSITORY
from trainer.plan import warm_start
from trainer.sessions import session
from trainer.sessions.session import Ended
from trainer.workspace import run_folders
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

from unit.helpers import DEAD_ENGINE, Result, put

Trainer = Callable[..., Result]
BASE = {
    "name": "base",
    "type": "Functional",
    "inside": "",
    "output_shape": [9],
    "parameters": 7,
    "trains": 7,
}
INSIDE = {"type": "Conv2D", "inside": "base", "output_shape": None, "parameters": 0, "trains": 0}
MODEL = {
    "name": "net",
    "framework": "keras",
    "parameters": 7,
    "trains": 7,
    "layers": [BASE, *({"name": f"conv{number}", **INSIDE} for number in range(21))],
}


class Script:
    """Stands for the container: what the script prints, and how it ends; `asked` is what it was run with."""

    def __init__(self) -> None:
        self.code = 0
        self.printed = ["Loading", "{mark}" + json.dumps(MODEL), "Goodbye"]
        self.asked: dict[str, object] = {}

    def run(self, _: object, __: object, command: object, ___: object, **options: object) -> Ended:
        self.asked = {"command": command, **options}
        environment = options["environment"]
        assert isinstance(environment, dict)
        text = "\n".join(self.printed).replace("{mark}", environment["TRAINER_LAYERS"])
        return Ended(self.code, text)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> Script:
    """A project that says where its model is built."""
    put(workspace.projects / "demo" / "train.py", "model_layers.log(network)\n")
    told = Script()
    monkeypatch.setattr(session, "run", told.run)
    return told


def test_the_layers_are_a_table_and_many_inside_of_one_are_for_full(trainer: Trainer, script: Script) -> None:
    done = trainer("layers", "demo", "--epochs", "5", "-P", "kind=line")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "layer  type        output shape  parameters",
        "base   Functional  9                      7",
        "",
        "net: 1 layers, 7 parameters",
        "21 layers inside of others are not shown: --full",
    ]
    assert script.asked["command"] == ("python", "train.py", "5", "0.1", "line", "8", "", "no")
    full = trainer("layers", "demo", "--full").out
    assert "\n  conv20  Conv2D" in full
    assert "not shown" not in full


def test_the_layers_as_json(trainer: Trainer, script: Script) -> None:  # noqa: ARG001
    done = trainer("layers", "demo", "--json")
    assert json.loads(done.out) == MODEL


def test_an_error_of_the_script_is_the_commands(trainer: Trainer, script: Script) -> None:
    script.code, script.printed = (
        1,
        ["Loading", "Error: The images are too small.", "Hint:  Take larger ones."],
    )
    done = trainer("layers", "demo")
    assert done.err == "Error: The images are too small.\nHint:  Take larger ones.\n"
    assert (done.code, done.out) == (2, "")
    script.code, script.printed = 3, ["Traceback", "ZeroDivisionError: 1 / 0"]
    done = trainer("layers", "demo")
    assert done.code == 3
    assert "ZeroDivisionError: 1 / 0" in done.err
    script.code, script.printed = 0, ["Nothing to do"]
    assert "ended without building a model" in trainer("layers", "demo").err


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ("dmeo", "There is no project dmeo.", "Did you mean demo?"),
        ("demo --epoch 3", "demo has no parameter --epoch.", "Did you mean --epochs?"),
        ("demo --epochs 0", "--epochs is 0, which is out of range.",
         "Pass a whole number, 1 at least, 100 at most; the default is 3."),
        ("demo -e other", "demo has no entry point other.", "Its entry points are main, strict."),
    ],
)  # fmt: skip
def test_bad_input(trainer: Trainer, script: Script, arguments: str, message: str, hint: str) -> None:
    done = trainer("layers", *arguments.split())
    assert (done.code, done.out, done.err) == (2, "", f"Error: {message}\nHint:  {hint}\n")
    assert not script.asked


def test_a_run_is_no_project(trainer: Trainer, workspace: Workspace, script: Script) -> None:
    record = Record("ab12", "demo", "docker", "http://127.0.0.1:5000", True, name="hen")
    run_folders.write(workspace, run_folders.new_folder(workspace), record)[1].release()
    for name in ("hen", "@last"):
        done = trainer("layers", name)
        assert (done.code, done.out, done.err) == (
            2,
            "",
            f"Error: {name} is a run, and `trainer layers` takes a project.\n"
            f"Hint:  trainer layers demo; as the run logged them: trainer show {name}\n",
        )
    assert not script.asked


def test_a_project_that_would_train_is_not_started(
    trainer: Trainer, workspace: Workspace, script: Script
) -> None:
    put(workspace.projects / "demo" / "train.py", "model.fit(x, y)\n")
    done = trainer("layers", "demo")
    assert done.err == (
        "Error: demo does not say where its model is built, so its layers cannot be shown.\n"
        "Hint:  Call model_layers.log(model) there: from trainkit.models import model_layers\n"
    )
    done = trainer("layers", "demo", "--image", "python:3.11")
    assert done.err.startswith("Error: demo runs in python:3.11, which has no trainkit")
    assert not script.asked


def test_without_an_engine(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.projects / "demo" / "train.py", "model_layers.log(network)\n")
    done = trainer("layers", "demo")
    assert (done.code, done.out) == (82, "")
    assert done.err.startswith(f"Error: No Docker engine answers at {DEAD_ENGINE}.\nHint:  ")
    assert not list(workspace.state.glob("session-*"))


def test_parameters_that_are_called_like_an_option_for_backbones_are_the_projects(
    trainer: Trainer, workspace: Workspace, script: Script
) -> None:
    project = put(
        workspace.projects / "demo" / "MLproject",
        "docker_env: {image: trainer/small}\nentry_points: {main: {parameters: {image_size: "
        "{type: int, default: 8}}, command: 'python train.py {image_size}'}}\n",
    ).parent
    assert trainer("layers", str(project), "--image-size", "16").code == 0
    assert script.asked["command"] == ("python", "train.py", "16")
    assert (
        "Parameters of demo, entry point main:\n  --image-size INT" in trainer("layers", "demo", "--help").out
    )


def test_every_project_here_says_where_its_model_is_built() -> None:
    for folder in (REPOSITORY / "train_code").iterdir():
        assert warm_start.calls(folder, "model_layers.log"), folder
