"""An image with a model in it, as it is planned."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from trainer.errors import InvalidInput
from trainer.images import used_by
from trainer.images.spec import DIGEST_LABEL
from trainer.models.kept import ModelFile
from trainer.serving import baked
from trainer.workspace.settings import Workspace
from trainkit.inference import serving_file

from unit.images.test_leftovers import Engine
from unit.model_server import served


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return served.churn(tmp_path / "churn.onnx")


def test_the_same_model_on_the_same_base_is_one_image(
    workspace: Workspace, model: Path, tmp_path: Path
) -> None:
    file = ModelFile(model, "churn@3")
    (tmp_path / "copy.onnx").write_bytes(model.read_bytes())
    plan = baked.plan(workspace, file, base_image="debian")
    assert (
        baked.plan(workspace, ModelFile(tmp_path / "copy.onnx", "churn@3"), base_image="debian").tag
        == plan.tag
    )
    others = (
        baked.plan(workspace, file, base_image="other"),
        baked.plan(workspace, ModelFile(model, "churn@4"), base_image="debian"),
        baked.plan(workspace, ModelFile(served.price(tmp_path / "p.onnx"), "churn@3"), base_image="debian"),
    )
    assert len({plan.tag, *(other.tag for other in others)}) == 4
    assert all(each.tag.startswith("trainer/serve-churn:") for each in (plan, *others))


@pytest.mark.parametrize(
    ("name", "title", "version", "source"),
    [
        ("churn@3", "churn", "3", "models:/churn/3"),
        ("brave-hen-7", "brave-hen-7", None, "runs:/0123abcd"),
        ("me@home.onnx", "me-home", None, "runs:/0123abcd"),
        ("/secret/place/My Churn.onnx", "My-Churn", None, "runs:/0123abcd"),
    ],
)
def test_labels_say_which_model_it_is_and_not_where_it_lay(
    workspace: Workspace, model: Path, name: str, title: str, version: str | None, source: str
) -> None:
    plan = baked.plan(workspace, ModelFile(model, name), base_image="debian")
    assert plan.labels["org.opencontainers.image.title"] == title
    assert plan.labels.get("org.opencontainers.image.version") == version
    assert plan.labels["org.opencontainers.image.base.name"] == plan.parent.tag
    assert plan.labels["trainer.model"] == (f"{title}@{version}" if version else title)
    assert plan.labels["trainer.model.sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert plan.labels["trainer.model.run_id"] == "0123abcd"
    assert plan.labels["trainer.model.source"] == source
    assert not any("/secret" in argument for argument in plan.build_command())


def test_what_the_build_sees_has_the_modes_and_times_of_the_image_and_goes(
    workspace: Workspace, model: Path
) -> None:
    model.chmod(0o600)
    plan = baked.plan(workspace, ModelFile(model, "churn@3"), base_image="debian")
    with plan.build_context():
        file = plan.context / "files" / "model" / "model.onnx"
        assert file.read_bytes() == model.read_bytes()
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o444, 0o755)
        assert file.stat().st_mtime == file.parent.stat().st_mtime == 315532800
        told = serving_file.read(file.with_name("serving.json")).model
        assert (told.file, told.called) == ("model.onnx", "churn@3")
        assert sorted(path.name for path in plan.context.iterdir()) == ["Dockerfile", "files"]
    assert not plan.context.exists()


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("Skin Model", "not an image reference"),
        ("trainer/sklearn:latest", "one of trainer's own names"),
        (f"skin@sha256:{'0' * 64}", "is a digest"),
    ],
)
def test_a_tag_that_cannot_be_is_refused(workspace: Workspace, model: Path, tag: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        baked.plan(workspace, ModelFile(model, "churn@3"), tag=tag, base_image="debian")


def test_a_tag_of_the_users_is_one_more(workspace: Workspace, model: Path) -> None:
    for tag, whole in (("localhost:5000/churn", "localhost:5000/churn:latest"), ("churn:3", "churn:3")):
        plan = baked.plan(workspace, ModelFile(model, "churn@3"), tag=tag, base_image="debian")
        assert plan.tags == (plan.tag, whole)
        assert {f"--tag={plan.tag}", f"--tag={whole}"} <= set(plan.build_command())


def test_a_file_that_is_no_model_in_use_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no")
    with pytest.raises(InvalidInput):
        baked.plan(workspace, ModelFile(tmp_path / "m.onnx", "m"), base_image="debian")


def test_gc_offers_what_a_later_build_of_that_name_has_followed(workspace: Workspace) -> None:
    tags = ("trainer/serve-churn:1", "trainer/serve-skin:1", "trainer/serve-churn:2", "trainer/sklearn:1")
    engine = Engine(dict.fromkeys((*tags, "trainer/serve-other:1"), (DIGEST_LABEL,)))
    for tag in tags:
        used_by.note(workspace, SimpleNamespace(tag=tag, parent=None))
    offered = [leftover.name for leftover in baked.leftovers(workspace, engine.client).found]
    assert offered == ["trainer/serve-churn:1"]
