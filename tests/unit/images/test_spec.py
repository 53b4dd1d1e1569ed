import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.images import lock, trainer_image
from trainer.images import spec as images
from trainer.images.spec import ImageSpec
from trainer.images.trainer_image import TrainerImage
from trainer.workspace.settings import Workspace, find

from unit.helpers import fails, put

REPOSITORY = Path(__file__).parents[3]


def planned(workspace: Workspace, name: str = "small", base_image: str | None = None) -> TrainerImage:
    return trainer_image.plan(workspace, images.spec(workspace, name), base_image)


def declare(workspace: Workspace, name: str, text: str = "") -> None:
    put(workspace.images / name / "image.yaml", text)
    put(workspace.images / name / "requirements.txt", "mlflow==3.17.2 --hash=sha256:00\n")


def test_an_image_is_read(workspace: Workspace) -> None:
    declare(
        workspace,
        "big",
        "{description: Big, aliases: [large], base_image: debian:12, inherits: small, "
        "apt: [git, tini], gpu: true}",
    )
    assert images.discover(workspace) == {
        "big": ImageSpec(
            "big",
            workspace.images / "big",
            "Big",
            ("large",),
            "debian:12",
            "small",
            ("git", "tini"),
            gpu=True,
        ),
        "small": ImageSpec("small", workspace.images / "small", "A small one"),
    }


@pytest.mark.parametrize("name", ["small", "trainer/small", "trainer/small:latest"])
def test_an_image_is_found_by_its_name_and_its_tag(workspace: Workspace, name: str) -> None:
    assert images.spec(workspace, name).name == "small"


@pytest.mark.parametrize("name", ["large", "trainer/large"])
def test_an_image_is_found_by_its_alias(workspace: Workspace, name: str) -> None:
    declare(workspace, "big", "{aliases: [large]}")
    assert images.spec(workspace, name).name == "big"


@pytest.mark.parametrize("alias", ["small", "large"])
def test_an_alias_that_is_taken_is_refused(workspace: Workspace, alias: str) -> None:
    declare(workspace, "big", "{aliases: [large]}")
    declare(workspace, "huge", f"{{aliases: [{alias}]}}")
    with pytest.raises(InvalidInput, match=f"the alias {alias} is"):
        images.discover(workspace)


def test_an_unknown_image(workspace: Workspace) -> None:
    with fails(InvalidInput, "There is no trainer image trainer/smal.", "Did you mean small?"):
        images.spec(workspace, "trainer/smal")
    with fails(InvalidInput, "There is no trainer image zzz.", "The images are small."):
        images.spec(workspace, "zzz")


def test_an_unknown_image_where_there_is_none(tmp_path: Path) -> None:
    put(tmp_path / "trainer.yaml")
    put(tmp_path / "trainer_images" / "Dockerfile")
    folder = tmp_path / "trainer_images" / "x"
    with fails(
        InvalidInput,
        "There is no trainer image x.",
        f"Make the folder {folder} with image.yaml and requirements.txt.",
    ):
        images.spec(find(tmp_path), "x")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "apt: [a\nb: c",
            "{path}, line 2: this is not valid YAML.",
            "Correct the line.",
        ),
        ("- a", "{path} does not describe an image.", "Write one `name: value` a line."),
        ("base_imag: a", "{path} has an unknown key: base_imag", "Did you mean base_image?"),
        ("apt: git", "{path}: apt is 'git'.", "Use a list."),
        ('gpu: "yes"', "{path}: gpu is 'yes'.", "Use a bool."),
        ("base_image: 3", "{path}: base_image is 3.", "Use a str."),
    ],
)
def test_a_malformed_image_is_named(workspace: Workspace, text: str, message: str, hint: str) -> None:
    path = workspace.images / "small" / "image.yaml"
    put(path, text)
    with fails(InvalidInput, message.format(path=path), hint):
        images.discover(workspace)


def test_an_image_without_a_lock_says_how_to_make_one(workspace: Workspace) -> None:
    folder = workspace.images / "small"
    (folder / "requirements.txt").unlink()
    put(folder / "requirements.in", "mlflow\n")
    how = (
        "uv pip compile --universal --python-version 3.11 --generate-hashes "
        f"{folder}/requirements.in -o {folder}/requirements.txt"
    )
    with fails(InvalidInput, "The image small has no requirements.txt.", how):
        planned(workspace)


@pytest.mark.parametrize("name", ["Dockerfile", "layer.sh", "uv.txt", "trainkit/pyproject.toml"])
def test_a_workspace_without_a_shared_file_says_which(workspace: Workspace, name: str) -> None:
    (workspace.images / name).unlink()
    with pytest.raises(InvalidInput, match=name):
        planned(workspace)


def test_a_dockerfile_that_calls_no_script_is_built_without_it(workspace: Workspace) -> None:
    put(workspace.images / "Dockerfile", "FROM scratch\n")
    with_script = planned(workspace)
    (workspace.images / "layer.sh").unlink()
    assert planned(workspace) == with_script


@pytest.mark.parametrize(
    "name",
    [
        "Dockerfile",
        "layer.sh",
        "uv.txt",
        "small/requirements.txt",
        "trainkit/pyproject.toml",
        "trainkit/trainkit/__init__.py",
        "trainkit/trainkit/new.py",
        "trainkit/trainkit/py.typed",
        "trainkit/site/trainkit.pth",
    ],
)
def test_the_digest_follows_every_file_of_the_image(workspace: Workspace, name: str) -> None:
    before = planned(workspace)
    put(workspace.images / name, "# changed: calls layer.sh")
    after = planned(workspace)
    assert after.digest != before.digest
    assert after.tag != before.tag
    assert (after.requirements_digest != before.requirements_digest) == (name == "small/requirements.txt")


def test_the_digest_follows_a_files_name(workspace: Workspace) -> None:
    put(workspace.images / "trainkit" / "trainkit" / "a.py", "x = 1")
    before = planned(workspace).digest
    folder = workspace.images / "trainkit" / "trainkit"
    (folder / "a.py").rename(folder / "b.py")
    assert planned(workspace).digest != before


@pytest.mark.parametrize("text", ["apt: [git]", "base_image: debian:12", "inherits: other"])
def test_the_digest_follows_what_the_build_is_told(workspace: Workspace, text: str) -> None:
    declare(workspace, "other")
    before = planned(workspace).digest
    put(workspace.images / "small" / "image.yaml", text)
    assert planned(workspace).digest != before


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "small/README.md",
        "small/smoke.py",
        "small/requirements.in",
        "other/requirements.txt",
        "trainkit/trainkit/__pycache__/a.pyc",
        "trainkit/trainkit/secrets.env",
        "trainkit/tests/test_a.py",
    ],
)
def test_the_digest_stays_when_another_file_changes(workspace: Workspace, name: str) -> None:
    before = planned(workspace)
    put(workspace.images / name, "# changed")
    assert planned(workspace).digest == before.digest


def test_the_digest_stays_with_time_place_and_description(workspace: Workspace, tmp_path: Path) -> None:
    before = planned(workspace).digest
    put(workspace.images / "small" / "image.yaml", "description: Another\ngpu: true")
    os.utime(workspace.images / "Dockerfile", (0, 0))
    moved = workspace.root.rename(tmp_path / "moved")
    assert planned(find(moved)).digest == before


def test_dockerignore_lets_through_what_the_digest_is_made_of_and_no_more() -> None:
    own = find(REPOSITORY)
    lines = (own.images / ".dockerignore").read_text().splitlines()
    let_through = [line[1:] for line in lines if line.startswith("!")]
    assert [line for line in lines if not line.startswith(("#", "!"))] == ["*"]
    digested = {
        name for image in images.discover(own).values() for name, _ in trainer_image._inputs(own, image)
    } - {"Dockerfile"}  # BuildKit reads it whatever is ignored
    sent = {
        path.relative_to(own.images).as_posix()
        for pattern in let_through
        for path in own.images.glob(pattern)
        if path.is_file()
    }
    assert digested == sent - {"serve/requirements.txt"}  # whose image has a Dockerfile of its own
    assert all(any(fnmatch(name, pattern) for pattern in let_through) for name in digested)


@pytest.mark.parametrize(
    ("settings", "own", "environment", "argument", "expected"),
    [
        (None, None, None, None, "python:3.11-slim-bookworm"),
        ("yaml:1", None, None, None, "yaml:1"),
        ("yaml:1", "own:1", None, None, "own:1"),
        ("yaml:1", "own:1", "env:1", None, "env:1"),
        ("yaml:1", "own:1", "env:1", "arg:1", "arg:1"),
        (None, None, "", None, "python:3.11-slim-bookworm"),
    ],
)
def test_which_base_image_wins(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    settings: str | None,
    own: str | None,
    environment: str | None,
    argument: str | None,
    expected: str,
) -> None:
    put(workspace.root / "trainer.yaml", f"base_image: {settings}" if settings else "")
    put(workspace.images / "small" / "image.yaml", f"base_image: {own}" if own else "")
    if environment is not None:
        monkeypatch.setenv("TRAINER_BASE_IMAGE", environment)
    assert planned(find(workspace.root), base_image=argument).base_image == expected


def test_a_child_is_built_on_its_parents_tag_and_changes_with_it(workspace: Workspace) -> None:
    declare(workspace, "big", "{inherits: small, base_image: never:1}")
    before = planned(workspace, "big", "arg:1")
    assert before.parent == planned(workspace, "small", "arg:1")
    assert before.base_image == before.parent.tag
    put(workspace.images / "small" / "requirements.txt", "# changed")
    assert planned(workspace, "big", "arg:1").digest != before.digest


def test_an_unknown_parent(workspace: Workspace) -> None:
    declare(workspace, "big", "inherits: smal")
    with fails(InvalidInput, "There is no trainer image smal.", "Did you mean small?"):
        planned(workspace, "big")


@pytest.mark.parametrize("parents", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "b"}])
def test_images_that_inherit_in_a_circle_are_refused(workspace: Workspace, parents: dict[str, str]) -> None:
    for name, parent in parents.items():
        declare(workspace, name, f"inherits: {parent}")
    with pytest.raises(InvalidInput):
        planned(workspace, "a")


def test_the_build_command(workspace: Workspace) -> None:
    put(workspace.images / "small" / "image.yaml", "apt: [git, tini]")
    plan = planned(workspace, base_image="debian:12")
    assert plan.tag == f"trainer/small:{plan.digest[:12]}"
    assert plan.build_command() == [
        *shlex.split("docker buildx build --progress=plain --load"),
        "--build-arg=BASE_IMAGE=debian:12",
        "--build-arg=IMAGE=small",
        "--build-arg=APT=git tini",
        "--build-arg=SOURCE_DATE_EPOCH=315532800",
        f"--label=trainer.input_digest={plan.digest}",
        f"--label=trainer.requirements_digest={plan.requirements_digest}",
        "--label=trainer.base_image=debian:12",
        f"--tag={plan.tag}",
        "--tag=trainer/small:latest",
        str(workspace.images),
    ]


def test_the_locked_version(workspace: Workspace) -> None:
    image = images.spec(workspace, "small")
    put(image.lock, "mlflow-skinny==3.1\n# mlflow==9\nmlflow==3.17.2 \\\n  --hash=sha256:00\n")
    assert lock.locked_version(image.lock, "mlflow") == "3.17.2"
    assert lock.locked_version(image.lock, "mlflow-skinny") == "3.1"
    assert lock.locked_version(image.lock, "numpy") is None


@pytest.mark.parametrize(
    "change", [lambda spec: replace(spec, name="x"), lambda spec: replace(spec, apt=("x",))]
)
def test_the_digest_is_the_specs_too(workspace: Workspace, change: Callable[[ImageSpec], ImageSpec]) -> None:
    spec = images.spec(workspace, "small")
    changed = change(spec)
    assert trainer_image.plan(workspace, changed).digest != trainer_image.plan(workspace, spec).digest


@pytest.fixture
def bare(tmp_path: Path) -> Workspace:
    """A workspace that has no images of its own yet."""
    put(tmp_path / "trainer.yaml")
    return find(tmp_path)


def test_a_workspace_has_the_images_that_trainer_brings(bare: Workspace) -> None:
    ours = find(REPOSITORY)
    assert images.discover(bare).keys() == images.discover(ours).keys()
    assert planned(bare, "tensorflow") == planned(ours, "tensorflow")


def test_an_own_image_is_added_to_them_and_one_of_the_same_name_is_taken_instead(bare: Workspace) -> None:
    declare(bare, "own", "inherits: sklearn")
    declare(bare, "tensorflow", "description: Mine")
    result = images.discover(bare)
    assert list(result) == sorted(result)
    assert {"own", "sklearn"} < result.keys()
    assert result["tensorflow"].folder == bare.images / "tensorflow"
    made = planned(bare, "own")
    assert made.base_image == planned(find(REPOSITORY), "sklearn").tag
    assert made.digest != planned(bare, "tensorflow").digest


def test_what_an_own_image_is_built_from_is_gathered(bare: Workspace, tmp_path: Path) -> None:
    declare(bare, "own")
    made = planned(bare, "own")
    assert made.build_command()[-1] == str(bare.state / f"context-own-{made.digest[:12]}")
    context = tmp_path / "context"
    with replace(made, context=context).build_context():
        names = {path.relative_to(context).as_posix() for path in context.rglob("*") if path.is_file()}
    assert not context.exists()
    assert {"Dockerfile", "layer.sh", "uv.txt", "own/requirements.txt"} < names
    assert {"trainkit/pyproject.toml", "trainkit/trainkit/py.typed", "trainkit/site/trainkit.pth"} < names
    assert not any("smoke" in name or name.startswith("sklearn/") for name in names)
    put(bare.images / "own" / "requirements.txt", "mlflow==4 --hash=sha256:00\n")
    assert planned(bare, "own").digest != made.digest


@pytest.mark.parametrize("name", ["Dockerfile", "layer.sh", "uv.txt"])
def test_a_workspace_with_a_shared_file_of_its_own_has_no_others(bare: Workspace, name: str) -> None:
    put(bare.images / name, "FROM scratch\n")
    assert images.discover(bare) == {}
