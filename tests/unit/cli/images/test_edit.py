"""`trainer images new` and `add`, with a uv that resolves everything to version 1."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from trainer.images import spec, trainer_image
from trainer.workspace.settings import Workspace

from unit.helpers import Result, put

Trainer = Callable[..., Result]

# Keeps what the lock has, as uv does; `sleepy` never ends, `nosuch` does not exist.
UV = """\
#!/bin/sh
for last; do :; done
grep -q sleepy requirements.in && { touch "$UV_BEGUN"; exec sleep 60; }
if grep -q nosuch requirements.in; then
  echo 'error: No solution found when resolving dependencies'
  echo '  cause: Because nosuch was not found in the package registry, your requirements are unsatisfiable.'
  exit 1
fi
if grep -q offline requirements.in; then
  echo 'error: Request failed after 3 retries in 9.9s'
  echo '  cause: tcp connect error'
  echo '  cause: Connection refused (os error 111)'
  echo
  echo 'hint: Consider to wait'
  exit 2
fi
cp "$last" kept
echo "# $*" > "$last"
grep -E '^[a-z]' requirements.in | sed 's/[^a-z0-9-].*//' | while read name; do
  grep "^$name==" kept || echo "$name==1 --hash=sha256:00"
done >> "$last"
rm kept
"""


@pytest.fixture(autouse=True)
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = put(tmp_path / "uv", UV)
    program.chmod(0o755)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(program))
    return program


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def packages(workspace: Workspace, name: str, file: str = "requirements.in") -> list[str]:
    lines = (workspace.images / name / file).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_an_image_of_a_requirements_file(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.root / "requirements.txt", "click>=8.1  # the command line\nsix\n")
    done = trainer("images", "new", "tables", "--from", "requirements.txt", "--inherit", "small")
    place = workspace.images / "tables"
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"Made {place}: image.yaml, requirements.in, requirements.txt\nNext: trainer build-image tables\n"
    )
    assert files(place).keys() == {"image.yaml", "requirements.in", "requirements.txt"}
    assert packages(workspace, "tables") == ["click>=8.1", "six"]
    assert packages(workspace, "tables", "requirements.txt")[0].startswith("click==1 --hash=")
    lock = (place / "requirements.txt").read_text()
    assert "pip compile --universal --python-version 3.11 --generate-hashes --quiet requirements.in" in lock
    image = spec.spec(workspace, "tables")
    assert (image.inherits, image.base_image, image.apt) == ("small", None, ())
    assert trainer_image.plan(workspace, image).parent


def test_the_versions_of_the_inherited_image_are_preferred(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.images / "small" / "requirements.txt", "click==8.3 --hash=sha256:00\n")
    put(workspace.images / "child" / "image.yaml", "inherits: small\n")
    put(workspace.images / "child" / "requirements.txt", "six==1.17 --hash=sha256:00\n")
    put(workspace.root / "requirements.txt", "click\nsix\ntabulate\n")
    assert trainer("images", "new", "mine", "--from", "requirements.txt", "--inherit", "child").code == 0
    locked = [line.split()[0] for line in packages(workspace, "mine", "requirements.txt")]
    assert locked == ["click==8.3", "six==1.17", "tabulate==1"]


@pytest.mark.parametrize(
    ("packages", "message", "hint"),
    [
        (
            "tabulate\nclick~=1.0\n",
            "click~=1.0 cannot be added to small, which has click 8.3.",
            "Leave the version out, or make an image of its own: without --inherit",
        ),
    ],
)
def test_another_version_than_the_inherited_one_is_refused(
    trainer: Trainer, workspace: Workspace, uv: Path, packages: str, message: str, hint: str
) -> None:
    put(workspace.images / "small" / "requirements.txt",
        "click==8.3 --hash=sha256:00\nsix==1.17 --hash=sha256:00\n")  # fmt: skip
    trainer("images", "new", "child", "--inherit", "small")
    put(uv, "#!/bin/sh\necho 'click==1 --hash=sha256:00' > requirements.txt\n")
    put(workspace.root / "requirements.txt", packages)
    before = files(workspace.root)
    for arguments in (
        ("new", "mine", "--from", "requirements.txt", "--inherit", "small"),
        ("add", "child", *packages.split()),
    ):
        done = trainer("images", *arguments)
        assert (done.code, done.out, done.err) == (83, "", f"Error: {message}\nHint:  {hint}\n")
        assert files(workspace.root) == before


def test_a_requirement_written_by_hand_is_compiled_by_add(trainer: Trainer, workspace: Workspace) -> None:
    place = workspace.images / "mine"
    trainer("images", "new", "mine", "--inherit", "small")
    put(place / "requirements.in", "tabulate  # tables\nnumpy; sys_platform == 'never'\nsix>=1,<2\n")
    put(place / "requirements.txt", "tabulate==1 --hash=sha256:00\n")
    refused = trainer("build-image", "mine", "--dry-run")
    hint = "trainer images add mine 'six>=1,<2'"
    assert (refused.code, refused.out, refused.err) == (
        2,
        "",
        f"Error: {place / 'requirements.in'} asks for six>=1,<2, and requirements.txt lacks it.\n"
        f"Hint:  Compile it again: {hint}\n",
    )
    put(place / "requirements.txt", "tabulate==1 --hash=sha256:00\nsix==2 --hash=sha256:00\n")
    assert "requirements.txt has six 2.\n" in trainer("build-image", "mine", "--dry-run").err
    put(place / "requirements.txt", "tabulate==1 --hash=sha256:00\n")
    done = trainer(*shlex.split(hint)[1:])
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"Compiled {place / 'requirements.txt'}, which did not fit requirements.in\n"
        "Next: trainer build-image mine\n"
    )
    assert trainer("build-image", "mine", "--dry-run").code == 0


def test_an_image_of_a_dockerfile(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.root / "app" / "requirements.txt", "six\n")
    path = put(
        workspace.root / "app" / "Dockerfile",
        "FROM python:3.12-slim\nENV A=secret\nRUN apt-get install g++ && pip install -r requirements.txt\n",
    )
    done = trainer("images", "new", "mine", "--from", str(path))
    assert done.code == 0
    assert done.err == (
        f"Not taken from {path}:\n"
        "  line 2: ENV A: variables are set in docker_env.environment of an MLproject\n"
    )
    image = spec.spec(workspace, "mine")
    assert (image.inherits, image.base_image, image.apt) == (None, "python:3.12-slim", ("g++",))
    assert packages(workspace, "mine")[0].startswith("mlflow-skinny==")
    assert packages(workspace, "mine")[1:] == ["six"]


def test_a_base_is_named_where_the_image_inherits(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.root / "Dockerfile", "FROM python:3.12-slim\nRUN pip install mlflow==3.1\n")
    done = trainer("images", "new", "mine", "--from", "Dockerfile", "--inherit", "small")
    assert done.err == (
        "Not taken from Dockerfile:\n  line 1: FROM python:3.12-slim: the image inherits from small\n"
    )
    assert spec.spec(workspace, "mine").base_image is None


def test_what_names_mlflow_gets_no_other_one(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.root / "requirements.txt", "MLflow==3.1\n")
    assert trainer("images", "new", "mine", "--from", "requirements.txt").code == 0
    assert packages(workspace, "mine") == ["MLflow==3.1"]


def test_an_image_of_nothing(trainer: Trainer, workspace: Workspace) -> None:
    assert trainer("images", "new", "mine").code == 0
    assert [line.split("==")[0] for line in packages(workspace, "mine")] == ["mlflow-skinny"]
    document = yaml.safe_load((workspace.images / "mine" / "image.yaml").read_text())
    assert document == {"description": "", "apt": [], "gpu": False}


def test_a_dry_run_shows_the_files_and_makes_nothing(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.root / "requirements.txt", "nosuch\n")
    before = files(workspace.root)
    done = trainer("images", "new", "mine", "--from", "requirements.txt", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Would make {workspace.images / 'mine'}: ")
    assert "\nrequirements.in:\n" in done.out
    assert "\n  nosuch\n" in done.out
    assert files(workspace.root) == before


@pytest.mark.parametrize(
    ("package", "lines"),
    [
        (
            "nosuch",
            "Error: There is no package nosuch in the package registry.\nHint:  Correct its name.\n",
        ),
        (
            "offline",
            "Error: The lock could not be compiled: Request failed after 3 retries in 9.9s: "
            "Connection refused (os error 111)\n"
            "Hint:  Check that the package registry can be reached, then try again.\n",
        ),
    ],
)
def test_what_cannot_be_resolved_changes_nothing(
    trainer: Trainer, workspace: Workspace, package: str, lines: str
) -> None:
    trainer("images", "new", "mine")
    put(workspace.root / "requirements.txt", f"{package}\n")
    before = files(workspace.root)
    for arguments in ("new other --from requirements.txt", f"add mine {package}"):
        done = trainer("images", *arguments.split())
        assert (done.code, done.out, done.err) == (83, "", lines)
        assert files(workspace.root) == before
    assert not (workspace.images / "other").exists()


def test_packages_are_added_and_what_is_locked_stays(trainer: Trainer, workspace: Workspace) -> None:
    place = workspace.images / "mine"
    trainer("images", "new", "mine", "--inherit", "small")
    put(place / "requirements.in", "# why\nclick\nSix>=1  # old\n\ntabulate")
    put(place / "requirements.txt", "click==8.0 --hash=sha256:00\n")
    put(place / "smoke.py", "import click\n")
    done = trainer("images", "add", "mine", "six==1", "numpy")
    assert (done.code, done.err) == (0, "")
    assert done.out == (f"Added 2 packages to {place / 'requirements.in'}\nNext: trainer build-image mine\n")
    assert (place / "requirements.in").read_text() == "# why\nclick\nsix==1\n\ntabulate\nnumpy\n"
    locked = [line.split()[0] for line in packages(workspace, "mine", "requirements.txt")]
    assert locked == ["click==8.0", "six==1", "tabulate==1", "numpy==1"]
    assert files(place).keys() == {"image.yaml", "requirements.in", "requirements.txt", "smoke.py"}
    again = trainer("images", "add", "mine", "numpy")
    assert (again.code, again.out) == (0, f"{place / 'requirements.in'} has it already.\n")


def test_an_index_in_requirements_in_is_in_the_lock_too(trainer: Trainer, workspace: Workspace) -> None:
    trainer("images", "new", "mine")
    put(workspace.images / "mine" / "requirements.in", "--extra-index-url https://x/simple\nclick\n")
    assert trainer("images", "add", "mine", "six").code == 0
    assert "--emit-index-url" in (workspace.images / "mine" / "requirements.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ("new small", "{images}/small exists already.", "Choose another name; nothing is overwritten."),
        ("new Small", "'Small' cannot be an image's name.", "Use lower-case letters, digits"),
        ("new demo", "demo is the name of a project.", "Choose another one, such as demo-image."),
        ("new ../x", "'../x' cannot be an image's name.", "Use lower-case letters, digits"),
        ("new trainkit", "'trainkit' cannot be an image's name.", "Choose another one, such as my-trainkit."),
        ("new mine --inherit smal", "There is no trainer image smal.", "Did you mean small?"),
        ("new mine --from none.txt", "Invalid value for '--from'", "trainer images new --help"),
        ("new mine --from conda.yaml", "conda.yaml is neither a Dockerfile nor", "Specify one of these."),
        ("new mine --from bad.txt", "bad.txt, line 2: the option -i is not taken", "Remove the line."),
        ("add smal click", "There is no trainer image smal.", "Did you mean small?"),
        ("add small ./click", "'./click' is not a package of a registry.", "Write NAME, or"),
        (
            "add small click",
            "The image small has no requirements.in, only a lock.",
            "Specify its packages in",
        ),
        ("add small", "Missing argument 'PACKAGE…'.", "trainer images add --help"),
        ("smal", "No such command 'smal'.", "trainer images --help"),
        ("create", "No such command 'create'.", "trainer images new NAME"),
    ],
)
def test_a_wrong_command_line(
    trainer: Trainer, workspace: Workspace, arguments: str, message: str, hint: str
) -> None:
    put(workspace.root / "bad.txt", "click\n-i https://x\n")
    put(workspace.root / "conda.yaml")
    before = files(workspace.root)
    done = trainer("images", *arguments.split())
    lines = done.err.splitlines()
    assert (done.code, done.out, len(lines)) == (2, "", 2)
    assert lines[0].startswith(f"Error: {message.format(images=workspace.images)}")
    assert lines[1].startswith(f"Hint:  {hint}")
    assert files(workspace.root) == before


def test_an_image_that_trainer_brings_is_inherited_from(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "lab" / "trainer.yaml")
    monkeypatch.chdir(tmp_path / "lab")
    done = trainer("images", "add", "sklearn", "click")
    assert (done.code, done.err) == (
        2,
        "Error: sklearn is an image that trainer brings: it is not changed.\n"
        "Hint:  Make one that adds to it: trainer images new my-sklearn --inherit sklearn\n",
    )
    done = trainer("images", "new", "sklearn")
    assert (done.code, done.err.splitlines()[0]) == (2, "Error: sklearn is an image that trainer brings.")
    assert [path.name for path in (tmp_path / "lab").iterdir()] == ["trainer.yaml"]


@pytest.mark.parametrize("arguments", ["new other --from requirements.txt", "add mine sleepy"])
def test_ctrl_c_leaves_nothing_half_made(
    trainer: Trainer, workspace: Workspace, uv: Path, tmp_path: Path, arguments: str
) -> None:
    trainer("images", "new", "mine")
    put(workspace.root / "requirements.txt", "sleepy\n")
    before = files(workspace.root)
    script = (
        f"import uv; uv.find_uv_bin = lambda: {str(uv)!r}\n"
        f"from trainer.cli.main import main; main({['images', *arguments.split()]!r})"
    )
    begun = tmp_path / "begun"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "UV_BEGUN": str(begun)}
    program = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE)
    for _ in range(300):
        if begun.exists():
            break
        time.sleep(0.1)
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=30)
    assert (program.returncode, err.decode()) == (
        130,
        "Error: Stopped by SIGINT.\nHint:  The same command starts it again.\n",
    )
    assert files(workspace.root) == before
