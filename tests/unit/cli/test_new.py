"""`trainer new`: a project from a template or from another project."""

import json
import os
import shlex
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from trainer.datasets.synthetic.sample import Sample
from trainer.projects import mlproject as projects
from trainer.workspace import run_folders
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

from unit.helpers import Result, git, put

Trainer = Callable[..., Result]


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same dataset, drawn in less time."""
    monkeypatch.setattr("trainer.scaffold.projects.Sample", lambda: Sample(images=2, size=16))


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_project_of_its_own_name_is_made_from_a_template(trainer: Trainer, workspace: Workspace) -> None:
    done = trainer("new", "mine", "--template", "minimal")
    place = workspace.projects / "mine"
    assert (done.code, done.err) == (0, "")
    assert files(place).keys() == {"MLproject", "README.md", "test_mine.py", "train.py"}
    assert projects.load(place).name == "mine"
    readme = (place / "README.md").read_text()
    assert readme.startswith("# mine\n")
    assert "PROJECT" not in readme
    assert done.out.splitlines() == [
        f"Made {place}: MLproject, README.md, test_mine.py, train.py",
        "Next: trainer run mine",
        "      train_code/mine/README.md says what to change, step by step",
    ]
    assert sorted(path.name for path in workspace.projects.iterdir()) == ["demo", "mine"]


def test_what_a_template_shares_with_a_project_is_a_file_of_ones_own(
    trainer: Trainer, workspace: Workspace
) -> None:
    trainer("new", "mine", "--template", "pytorch")
    place = workspace.projects / "mine"
    assert (place / "layers" / "cnn.yaml").is_file()
    assert not [path for path in place.rglob("*") if path.is_symlink()]


def test_the_dataset_that_its_default_names_is_made_up(trainer: Trainer, workspace: Workspace) -> None:
    done = trainer("new", "mine", "--template", "tensorflow")
    assert len(files(workspace.data / "data_4")) == 8
    assert done.out.splitlines()[0] == (
        f"Made {workspace.data / 'data_4'}: made-up images to try with (another one: --data NAME)"
    )
    assert trainer("run", "mine", "--image", "small", "--dry-run").code == 0


def test_a_dataset_of_that_name_stays_as_it_is(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.data / "data_4" / "a" / "1.jpg", "mine")
    done = trainer("new", "mine", "--template", "tensorflow")
    assert done.code == 0
    assert files(workspace.data / "data_4") == {"a/1.jpg": b"mine"}
    assert "data_4" not in done.out


def test_a_project_is_copied_without_what_git_ignores(trainer: Trainer, workspace: Workspace) -> None:
    git(workspace.root, "init", "--quiet")
    put(workspace.root / ".gitignore", "*.pt\n")
    put(workspace.projects / "demo" / "weights.pt", "large")
    put(workspace.projects / "demo" / "parts" / "run.sh", "echo\n").chmod(0o755)
    put(workspace.projects / "demo" / "test_demo.py")
    readme = "# {0}\n\n    trainer run {0} --n 1\n\nA demo, demo-2: train_code/{0}/train.py\n"
    put(workspace.projects / "demo" / "README.md", readme.format("demo"))
    done = trainer("new", "better", "--from", "demo")
    path = workspace.projects / "better"
    assert (done.code, done.err) == (0, "")
    assert files(path).keys() == {"MLproject", "README.md", "parts/run.sh", "test_better.py", "train.py"}
    assert os.access(path / "parts" / "run.sh", os.X_OK)
    assert (path / "README.md").read_text() == readme.format("better")
    before, after = projects.load(workspace.projects / "demo"), projects.load(path)
    assert (after.name, after.entry_points) == ("better", before.entry_points)


def test_a_project_of_a_folder_elsewhere_is_copied(
    trainer: Trainer, workspace: Workspace, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    mlproject = (workspace.projects / "demo" / "MLproject").read_text()
    put(other / "MLproject", mlproject.replace("name: demo\n", ""))
    assert trainer("new", "mine", "--from", str(other)).code == 0
    assert projects.load(workspace.projects / "mine").name == "mine"


def test_a_folder_that_is_no_project_is_refused(
    trainer: Trainer, workspace: Workspace, tmp_path: Path
) -> None:
    put(tmp_path / "other" / "main.py")
    done = trainer("new", "mine", "--from", str(tmp_path / "other"))
    assert done.code == 2
    assert done.err.splitlines() == [
        f"Error: {tmp_path / 'other'} has no file MLproject, or git ignores it.",
        "Hint:  `trainer run` runs such a folder as it is. Or start from --template minimal.",
    ]
    assert [path.name for path in workspace.projects.iterdir()] == ["demo"]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("a/b", "--template", "minimal"), "'a/b' cannot be a project's name.",
         "Use letters, digits, _ and -, a letter or digit first."),
        ((".x", "--template", "minimal"), "'.x' cannot be a project's name.", None),
        (("ä", "--template", "minimal"), "'ä' cannot be a project's name.", None),
        (("small", "--template", "minimal"), "small is the name of a trainer image.",
         "Choose another one, such as my_small."),
        (("demo", "--template", "minimal"), "{projects}/demo exists already.",
         "Choose another name; nothing is overwritten."),
        (("Demo", "--from", "demo"), "{projects}/demo exists already.", None),
        (("mine", "--template", "tensorfow"), "There is no template tensorfow.", "Did you mean tensorflow?"),
        (("mine", "--from", "dem"), "There is no project dem.", "Did you mean demo?"),
        (("mine",), "Specify either a template or a project to copy.",
         "--template inceptionv3|minimal|pytorch|sklearn|tensorflow, or --from PROJECT"),
        (("mine", "--from", "demo", "--template", "minimal"),
         "Specify either a template or a project to copy.", None),
    ],
)  # fmt: skip
def test_what_cannot_be_is_reported_before_anything_is_made(
    trainer: Trainer, workspace: Workspace, arguments: tuple[str, ...], message: str, hint: str | None
) -> None:
    before = files(workspace.root)
    done = trainer("new", *arguments)
    assert (done.code, done.out) == (2, "")
    lines = done.err.splitlines()
    assert lines[0] == f"Error: {message.format(projects=workspace.projects)}"
    assert hint is None or lines[1] == f"Hint:  {hint}"
    assert files(workspace.root) == before


def test_a_name_that_two_runs_have_is_not_taken_for_a_projects(
    trainer: Trainer, workspace: Workspace
) -> None:
    for run_id in ("ab12", "ab34"):
        run = Record(run_id, "demo", "docker", "http://127.0.0.1:5000", True, name="hen")
        run_folders.write(workspace, run_folders.new_folder(workspace), run)[1].release()
        run_folders.remove(workspace, run_id)
    done = trainer("new", "mine", "--from", "hen")
    assert done.err == "Error: hen could be 2 runs: ab12 (hen), ab34 (hen).\nHint:  Use one of the ids.\n"


@pytest.mark.parametrize("named", ["brave hen", "ab12"])
def test_the_code_of_a_run_is_run_like_that_run(
    trainer: Trainer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    run = Record("ab12", "demo", "docker", "http://127.0.0.1:5000", True, name="brave hen")
    run_folders.write(workspace, run_folders.new_folder(workspace), run)[1].release()
    run_folders.remove(workspace, "ab12")
    stored = nullcontext(workspace.projects / "demo")
    monkeypatch.setattr("trainer.runs.stored_run.code_of", lambda *_: stored)
    done = trainer("new", "mine", "--from", named)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[1:] == [f"Next: trainer run mine --like {shlex.quote(named)}"]
    assert trainer("new", "yours", "--from", "demo").out.splitlines()[1:] == ["Next: trainer run yours"]


def test_a_name_that_cannot_be_changed_leaves_nothing(trainer: Trainer, workspace: Workspace) -> None:
    path = workspace.projects / "demo" / "MLproject"
    put(path, "{name: demo, docker_env: {image: trainer/small}, entry_points: {main: {command: python x}}}")
    done = trainer("new", "mine", "--from", "demo")
    assert done.code == 2
    assert done.err.startswith(f"Error: {path} has its name in a form that cannot be changed.")
    assert [place.name for place in workspace.projects.iterdir()] == ["demo"]


def test_a_dry_run_makes_nothing(trainer: Trainer, workspace: Workspace) -> None:
    before = files(workspace.root)
    done = trainer("new", "mine", "--template", "tensorflow", "--dry-run", "--json")
    assert json.loads(done.out) == {
        "path": str(workspace.projects / "mine"),
        "files": ["MLproject", "README.md", "test_mine.py", "train.py"],
        "data": [str(workspace.data / "data_4")],
        "dry_run": True,
    }
    assert "Would make" in trainer("new", "mine", "--template", "tensorflow", "--dry-run").out
    assert files(workspace.root) == before
