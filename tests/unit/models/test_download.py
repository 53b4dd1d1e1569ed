"""`trainer models download` from a team's server. What MLflow's own client fetches: tests/docker/models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer.models import download, kept
from trainer.workspace.settings import Workspace, find

from unit.helpers import HttpServer, Reply, Result, put
from unit.models.test_locate import API, has

Trainer = Callable[..., Result]


@pytest.fixture(autouse=True)
def _team(workspace: Workspace, http_server: HttpServer, content: bytes) -> None:
    put(workspace.root / "trainer.yaml", f"tracking_uri: {http_server.uri}\n")
    has(http_server, content)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_version_becomes_a_file_that_predicts_and_is_not_downloaded_twice(
    workspace: Workspace,
    trainer: Trainer,
    content: bytes,
    http_server: HttpServer,
) -> None:
    done = trainer("models", "download", "skin@champion")
    assert (done.code, done.out) == (0, "skin-3.onnx\nNext: trainer predict skin-3.onnx INPUT\n"), done.err
    assert done.err.splitlines()[-1].startswith("Downloaded skin@3: 1 file (")
    assert (workspace.root / "skin-3.onnx").read_bytes() == content
    [answer] = json.loads(trainer("predict", "skin-3.onnx", "red.png", "--json").out)["predictions"]
    assert answer["class"] == "red"
    again = trainer("models", "download", "skin@3")
    assert (again.code, again.err) == (0, "skin@3 is there already, with the same content.\n")
    assert len([one for one in http_server.asked if one.path.endswith("model.onnx")]) == 1


def test_it_goes_to_a_file_or_into_a_folder(workspace: Workspace, trainer: Trainer) -> None:
    assert trainer("models", "download", "skin@3", "of clinic/skin.onnx").out.splitlines() == [
        "of clinic/skin.onnx",
        "Next: trainer predict 'of clinic/skin.onnx' INPUT",
    ]
    assert trainer("models", "download", "skin@3", "of clinic").code == 0
    assert files(workspace.root / "of clinic") == ["skin-3.onnx", "skin.onnx"]


def test_another_file_is_replaced_only_by_force(
    workspace: Workspace,
    trainer: Trainer,
    content: bytes,
) -> None:
    target = put(workspace.root / "skin-3.onnx", "mine")
    refused = trainer("models", "download", "skin@3")
    assert (refused.code, refused.out, refused.err.splitlines()[-2:]) == (2, "", [
        "Error: skin-3.onnx exists, and is another file.",
        "Hint:  Choose another place, or replace it: --force",
    ])  # fmt: skip
    assert target.read_text() == "mine"
    assert trainer("models", "download", "skin@3", "--force").code == 0
    assert target.read_bytes() == content
    (workspace.root / "folder.onnx" / "skin-3.onnx").mkdir(parents=True)
    refused = trainer("models", "download", "skin@3", "folder.onnx", "--force")
    assert (refused.code, refused.err.splitlines()[-2]) == (2, "Error: folder.onnx/skin-3.onnx is a folder.")


def test_what_is_cut_off_leaves_neither_a_file_nor_a_part_of_one(
    workspace: Workspace,
    content: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "_PIECE", 100)
    monkeypatch.chdir(workspace.root)
    steps: list[int] = []

    def bar(step: str, done: int, total: int) -> None:
        if step.startswith("Copying"):
            assert total == len(content)
            steps.append(done)
            if done > 150:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download.file(find(workspace.root), "skin@3", workspace.root / "models", bar, replace=False)
    assert steps == [100, 200]
    assert files(workspace.root / "models") == []


def test_a_file_that_was_damaged_since_is_not_handed_out(workspace: Workspace, trainer: Trainer) -> None:
    assert trainer("models", "download", "skin@3").code == 0
    [path] = kept.folder(workspace).glob("*.onnx")
    path.write_bytes(b"damaged")
    done = trainer("models", "download", "skin@3", "other")
    assert (done.code, "was damaged since it was fetched" in done.err) == (92, True)
    assert not (workspace.root / "other").exists()
    assert trainer("models", "download", "skin@3", "other").code == 0


def test_for_another_program(trainer: Trainer, content: bytes) -> None:
    done = json.loads(trainer("models", "download", "skin@champion", "--json").out)
    assert done == {
        "model": "skin@3", "sha256": hashlib.sha256(content).hexdigest(), "onnx": "skin-3.onnx",
        "files": [{"path": "skin-3.onnx", "size": len(content), "was_there": False}],
    }  # fmt: skip


def test_a_name_alone_is_no_version(trainer: Trainer, http_server: HttpServer) -> None:
    [answered] = http_server.replies[f"{API}/model-versions/get"]
    listed = json.dumps({"model_versions": [json.loads(answered.body)["model_version"]]})
    for path, body in {
        "model-versions/search": listed, "experiments/search": "{}", "runs/search": "{}",
    }.items():  # fmt: skip
        http_server.replies[f"{API}/{path}"] = [Reply(body=body)]
    done = trainer("models", "download", "skin")
    assert (done.code, done.out, done.err.splitlines()[-2:]) == (2, "", [
        "Error: There is no run skin, but a model of that name.",
        "Hint:  Say which version, such as skin@3: trainer models show skin",
    ])  # fmt: skip
