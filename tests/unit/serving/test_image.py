from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import REPOSITORY
from trainer.errors import InvalidInput
from trainer.serving import image
from trainer.workspace.settings import Workspace

SOURCE = REPOSITORY / "trainer_images"


@pytest.fixture
def own(workspace: Workspace) -> Path:
    """The workspace has image files of its own."""
    shutil.rmtree(workspace.images, ignore_errors=True)
    shutil.copytree(SOURCE, workspace.images, ignore=shutil.ignore_patterns("__pycache__"))
    return workspace.images


def test_the_tag_names_all_that_travels_to_the_build(own: Path, workspace: Workspace) -> None:
    before = image.plan(workspace, "debian").tag
    (own / "sklearn" / "requirements.txt").write_text("# another\n")
    (own / "serve" / "notes.txt").write_text("not copied")
    assert image.plan(workspace, "debian").tag == before
    tags = {before, image.plan(workspace, "other").tag}
    changed = (
        "layer.sh", "uv.txt", "serve/Dockerfile", "serve/Dockerfile.dockerignore", "serve/requirements.txt",
        "serve/model_server/app.py", "serve/model_server/routes/v2.py", "serve/model_server/page/style.css",
        "trainkit/trainkit/inference/rows.py",
    )  # fmt: skip
    for name in changed:
        with (own / name).open("a") as file:
            file.write("\n# Changed.\n")
        tags.add(image.plan(workspace, "debian").tag)
    assert len(tags) == 2 + len(changed)


def test_what_travels_is_what_the_tag_names() -> None:
    """Else a change would not be built, or would be built without being seen."""
    lines = (SOURCE / "serve" / "Dockerfile.dockerignore").read_text().splitlines()
    patterns = [line.removeprefix("!") for line in lines if line.startswith("!")]
    travels = {path for pattern in patterns for path in SOURCE.glob(pattern)}
    named = {path for pattern in image.INPUTS for path in SOURCE.glob(pattern)}
    assert named - travels == {SOURCE / "serve" / name for name in ("Dockerfile", "Dockerfile.dockerignore")}
    assert travels <= named


def test_a_file_that_is_missing_is_named(own: Path, workspace: Workspace) -> None:
    (own / "serve" / "requirements.txt").unlink()
    with pytest.raises(InvalidInput, match=r"serve/requirements\.txt is missing"):
        image.plan(workspace)


def test_a_workspace_with_older_files_has_the_image_that_trainer_brings(
    own: Path, workspace: Workspace
) -> None:
    shutil.rmtree(own / "serve")
    assert image.plan(workspace).folder == SOURCE
