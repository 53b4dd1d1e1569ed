"""`trainer gc` with a real engine, in a workspace whose only images are small ones of its own."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound, NotFound
from trainer import leftovers
from trainer.backends.docker import code_layer
from trainer.images.spec import DIGEST_LABEL
from trainer.maintenance import gc as use_case
from trainer.server import image as server_image
from trainer.workspace import settings


def gc(root: Path, *arguments: str) -> list[str]:
    """The kinds and names of what goes."""
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "gc", "--json", *arguments],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [f"{item['kind']} {item['name']}" for item in json.loads(done.stdout)]


def gc_of_runs(root: Path, *arguments: str) -> list[str]:
    """As `gc`, without the images of servers that other users have built on this engine."""
    servers = ("image trainer/tracking-server:", "image trainer/serve:")
    return [what for what in gc(root, *arguments) if not what.startswith(servers)]


def build(root: Path, name: str) -> None:
    command = [sys.executable, "-m", "trainer", "build-image", name]
    subprocess.run(command, cwd=root, capture_output=True, check=True)


def test_images_of_earlier_inputs_go_but_not_todays_nor_one_that_a_container_has(
    small: Path, client: docker.DockerClient
) -> None:
    build(small, "test-parent")
    (before,) = [tag for tag in client.images.get("trainer/test-parent:latest").tags if "latest" not in tag]
    assert gc_of_runs(small, "--dry-run") == []
    lock = small / "trainer_images" / "test-parent" / "requirements.txt"
    lock.write_text(lock.read_text() + "\n# changed\n")
    build(small, "test-parent")
    # What a launcher leaves that is killed before it starts the container it made.
    ours = {"trainer.run_id": "r1", "trainer.host": socket.gethostname(),
            "trainer.workspace": settings.find(small).identity}  # fmt: skip
    made = client.containers.create(before, ["true"], name="trainer-r1", labels=ours)
    try:
        assert gc_of_runs(small, "--yes") == ["container trainer-r1"]
    finally:
        with contextlib.suppress(NotFound):
            made.remove(force=True)
    assert gc_of_runs(small, "--dry-run") == [f"image {before}"]
    assert client.images.get(before)
    assert gc_of_runs(small, "--yes") == [f"image {before}"]
    assert before not in [tag for image in client.images.list() for tag in image.tags]
    assert gc_of_runs(small, "--yes") == []


def test_code_on_an_image_of_earlier_inputs_goes_with_it(small: Path, client: docker.DockerClient) -> None:
    build(small, "test-parent")
    image, place = client.images.get("trainer/test-parent:latest"), settings.find(small)
    (before,) = [tag for tag in image.tags if "latest" not in tag]
    kept = place.state / "code" / "large" / "kept.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"stamps": "", "begun": 0, "digest": "1234"}))
    labels = {
        code_layer.DIGEST_LABEL: "1234",
        code_layer.KEY_LABEL: "large",
        code_layer.IMAGE_LABEL: str(image.id),
        code_layer.WORKSPACE_LABEL: place.identity,
    }
    made = client.containers.create(before, ["true"], labels=labels)
    made.commit("trainer-code", "test-parent")
    made.remove()
    assert gc_of_runs(small, "--dry-run") == []
    lock = small / "trainer_images" / "test-parent" / "requirements.txt"
    lock.write_text(lock.read_text() + "\n# changed\n")
    build(small, "test-parent")
    assert gc_of_runs(small, "--yes") == [f"image {before}", "image trainer-code:test-parent"]
    with pytest.raises(ImageNotFound):
        client.images.get(str(image.id))


def test_what_a_killed_launch_left_of_keeping_code_goes_when_it_is_old(
    small: Path, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(small, "test-parent")
    workspace = settings.find(small)
    labels = {
        code_layer.DIGEST_LABEL: "1234",
        code_layer.KEY_LABEL: "large",
        code_layer.WORKSPACE_LABEL: workspace.identity,
    }
    made = client.containers.create("trainer/test-parent:latest", ["true"], labels=labels)

    def found() -> list[str]:
        result = use_case.find(workspace, of_cache=False, days=30)
        return [leftover.name for leftover in result.leftovers if leftover.kind == "container"]

    try:
        assert found() == []  # a launch may be at it
        monkeypatch.setattr(leftovers, "AT_WORK_S", 0)
        assert found() == [made.name]
    finally:
        made.remove()


def test_of_the_servers_images_goes_what_is_neither_todays_nor_that_of_a_container(
    small: Path, client: docker.DockerClient, tmp_path: Path
) -> None:
    (small / "mlflow_tracking_server").mkdir()
    (small / "mlflow_tracking_server" / "Dockerfile").write_text("FROM scratch\n")
    workspace = settings.find(small)
    todays, old = server_image.plan(workspace).tag, "trainer/tracking-server:000000000000"
    for tag in (todays, old):
        (tmp_path / "content").write_text(tag)
        subprocess.run(
            ["docker", "build", "--quiet", "--tag", tag, f"--label={DIGEST_LABEL}={tag}", "-f-", tmp_path],
            input="FROM scratch\nCOPY content /\n", text=True, capture_output=True, check=True,
        )  # fmt: skip
    try:
        # Nothing tells that a workspace uses them.
        made = client.containers.create(old, ["none"])
        listed = gc(small, "--dry-run")
        made.remove()
        assert not {f"image {todays}", f"image {old}"} & set(listed)
        listed = gc(small, "--dry-run")
        assert f"image {old}" in listed
        assert f"image {todays}" not in listed
    finally:
        for tag in (todays, old):
            client.images.remove(tag, force=True)
