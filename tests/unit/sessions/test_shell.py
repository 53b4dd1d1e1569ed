from collections.abc import Callable

import pytest
from trainer.cli.runs.shell import complete_place
from trainer.cli.runs.shell import shell as command
from trainer.plan.run_plan import RunPlan
from trainer.progress import Steps
from trainer.sessions import plans, session
from trainer.sessions.session import Ended
from trainer.workspace.settings import Workspace

from unit.helpers import DEAD_ENGINE, MLPROJECT, Result, put

Trainer = Callable[..., Result]


class Sessions:
    """Stands for the container: what it was asked for, and the exit code."""

    def __init__(self) -> None:
        self.code = 0
        self.plan: RunPlan | None = None
        self.command: tuple[str, ...] = ()

    def run(self, _: object, plan: RunPlan, command: tuple[str, ...], __: Steps, **options: object) -> Ended:
        assert options["terminal"] is False
        self.plan, self.command = plan, command
        return Ended(self.code, "")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    told = Sessions()
    monkeypatch.setattr(session, "run", told.run)
    return told


def test_a_command_gets_its_words_and_its_exit_code_is_passed_on(trainer: Trainer, opened: Sessions) -> None:
    opened.code = 7
    done = trainer("shell", "demo", "--", "python", "-c", "print(1)", "--image")
    assert (done.code, done.out, done.err) == (7, "", "")
    assert opened.command == ("python", "-c", "print(1)", "--image")


def test_a_project_needs_no_parameters_and_has_its_data(
    trainer: Trainer, workspace: Workspace, opened: Sessions
) -> None:
    put(workspace.data / "a.csv", "x\n1\n")
    parameters = "{data: {type: string, default: a.csv, dataset: true}, rate: float, table: path}"
    train = f"{{parameters: {parameters}, command: 'python train.py {{data}} {{rate}} {{table}}'}}"
    text = f"docker_env: {{image: trainer/small}}\nentry_points: {{train: {train}}}\n"
    put(workspace.projects / "demo" / "MLproject", text)
    assert trainer("shell", "demo").code == 0
    assert opened.plan
    assert [mount.target for mount in opened.plan.inputs.mounts] == ["/cache", "/data"]
    assert opened.plan.inputs.mounts[1].read_only
    assert opened.plan.code.folder == workspace.projects / "demo"
    assert opened.command[0] == "sh"
    (workspace.data / "a.csv").unlink()  # what a run needs a shell can do without
    assert trainer("shell", "demo").code == 0


def test_an_image_has_no_code(trainer: Trainer, workspace: Workspace, opened: Sessions) -> None:
    for name in ("small", "trainer/small", "python:3.11"):
        assert trainer("shell", name, "--gpus", "none").code == 0
        assert opened.plan
        assert opened.plan.image.name == name.removeprefix("trainer/")
        assert opened.plan.code.folder.parent.parent == workspace.state
    assert not list(workspace.state.glob("session-*/"))


def test_a_project_in_another_image(trainer: Trainer, opened: Sessions) -> None:
    assert trainer("shell", "demo", "--image", "python:3.11").code == 0
    assert opened.plan
    assert opened.plan.image.tag == "python:3.11"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ("dmeo", "There is no project, image or run dmeo.", "Did you mean demo?"),
        ("smal", "There is no project, image or run smal.", "Did you mean small?"),
        ("small --image other", "small is an image, and --image names another.", "Leave out one of them."),
        ("someone --gpus all", "--gpus is not for a run: a run has its own.", "Leave it out."),
        ("@last", "This workspace has started no run yet.", "trainer run PROJECT"),
        ("demo --image smal", "There is no trainer image smal.", "Did you mean small?"),
        ("", "Missing argument 'PROJECT|IMAGE|RUN'.", "trainer shell --help"),
    ],
)
def test_bad_input(trainer: Trainer, opened: Sessions, arguments: str, message: str, hint: str) -> None:
    done = trainer("shell", *arguments.split())
    assert (done.code, done.out, done.err) == (2, "", f"Error: {message}\nHint:  {hint}\n")
    assert opened.plan is None


def test_a_secret_that_is_not_set_is_asked_for(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.projects / "demo" / "MLproject", MLPROJECT.replace("[[MODE", "[API_KEY, [MODE"))
    done = trainer("shell", "demo")
    assert done.err.startswith("Error: demo needs the variable API_KEY, which is not set.\nHint:")
    assert not list(workspace.state.glob("session-*/"))


def test_without_an_engine(trainer: Trainer, workspace: Workspace) -> None:
    done = trainer("shell", "demo")
    assert (done.code, done.out) == (82, "")
    assert done.err.startswith(f"Error: No Docker engine answers at {DEAD_ENGINE}.\nHint:  ")
    assert not list(workspace.state.glob("session-*/"))


def test_projects_images_and_runs_are_completed(workspace: Workspace) -> None:  # noqa: ARG001
    context = command.make_context("shell", [], resilient_parsing=True)
    offered = [item.value for item in complete_place(context, command.params[0], "")]
    assert {"demo", "small", "@last"} <= set(offered)
    assert len(offered) == len(set(offered))


def test_a_project_goes_before_an_image_of_its_name(workspace: Workspace) -> None:
    (workspace.projects / "demo").rename(workspace.projects / "small")

    class Nowhere:
        def step(self, text: str) -> None: ...
        def part(self, text: str, count: str = "") -> None: ...
        def detail(self, line: str) -> None: ...
        def remark(self, text: str) -> None: ...

    with plans.of(workspace, "small", Nowhere()) as plan:
        assert plan.code.folder == workspace.projects / "small"
