"""`trainer layers` on the real engine, in the real image."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from PIL import Image
from support import Site
from trainer.backends.docker import session
from trainer.images import spec, trainer_image
from trainer.workspace.settings import find

SMALL = ("layers", "efficientnetb0", "--image-size", "32")


@pytest.fixture(autouse=True)
def no_container_left(site: Site, client: docker.DockerClient) -> Iterator[None]:
    """The image is there, and after each test it has no container, running or not."""
    built = site.trainer("build-image", "tensorflow", timeout_s=1800)
    assert built.code == 0, built.err
    yield
    assert _containers(site, client) == []


def _containers(site: Site, client: docker.DockerClient) -> list[str]:
    workspace = find(site.root)
    tag = trainer_image.plan(workspace, spec.spec(workspace, "tensorflow")).tag
    result = client.api.containers(all=True, filters={"ancestor": tag})  # others may train in that image
    return [item["Id"] for item in result if "trainkit.keras.layer_report" in item["Command"]]


def test_the_blocks_are_printed_and_drawn(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "layers.png"
    done = site.trainer("layers", "inceptionv3", "--unfreeze-from", "mixed7", "-o", str(file))
    assert (done.code, "Reading the layers of InceptionV3\n" in done.err) == (0, True)
    rows = {line.split()[0]: line.split() for line in done.out.splitlines() if line}
    assert rows["mixed6"][1:] == ["165–196", "32", "17×17×768", "1,692,736", "16,629,760", "76.3%", "frozen"]  # noqa: RUF001
    assert rows["mixed7"][1:] == ["197–228", "32", "17×17×768", "2,143,872", "14,942,208", "68.5%", "trains"]  # noqa: RUF001
    assert "Unfrozen from mixed7: 14,942,208 parameters train (68.5%)." in done.out
    with Image.open(file) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.height > picture.width
    assert (file.stat().st_uid, file.stat().st_gid) == (os.getuid(), os.getgid())


def test_all_layers_are_json_and_an_svg(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "layers.svg"
    done = site.trainer(*SMALL, "--full", "--json", "-o", str(file))
    assert done.code == 0, done.err
    payload = json.loads(done.out)
    assert (payload["layers"], len(payload["all_layers"]), payload["drawing"]) == (239, 239, str(file))
    svg = file.read_text()
    assert svg.count('class="node"') == 239
    assert "block6a_expand_conv" in svg


def test_a_drawing_too_high_for_a_png_is_refused(site: Site, tmp_path: Path) -> None:
    done = site.trainer(*SMALL, "--full", "-o", str(tmp_path / "layers.png"))
    assert (done.code, done.out) == (2, "")
    error, hint = done.err.splitlines()[-2:]
    assert error.startswith("Error: The drawing would be ")
    assert hint == "Hint:  Specify a file that ends in .svg."
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_unless_it_is_to_be_replaced(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "layers.svg"
    file.write_text("mine")
    done = site.trainer(*SMALL, "-o", str(file))
    assert (done.code, file.read_text()) == (2, "mine")
    assert site.trainer(*SMALL, "-o", str(file), "--force").code == 0
    assert file.read_text().startswith("<?xml")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_container_too(
    site: Site, client: docker.DockerClient, tmp_path: Path, number: signal.Signals
) -> None:
    process = site.start(*SMALL, "-o", str(tmp_path / "layers.png"))
    deadline = time.monotonic() + 60
    while not _containers(site, client):
        assert time.monotonic() < deadline, process.poll()
        time.sleep(0.05)
    done, seconds = site.stop(process, number)
    assert done.code == 128 + number
    assert seconds < 10
    assert f"Error: Stopped by {number.name}." in done.err
    assert _containers(site, client) == []
    assert list(tmp_path.iterdir()) == []


def test_the_model_of_a_project_is_built_and_nothing_is_left_of_it(
    site: Site, client: docker.DockerClient
) -> None:
    done = site.trainer("layers", "sklearn", "--estimator", "logistic_regression", "--json")
    assert done.code == 0, done.err
    payload = json.loads(done.out)
    assert (payload["framework"], payload["layers"][-1]["type"]) == ("sklearn", "LogisticRegression")
    assert client.containers.list(all=True, filters={"label": session.LABEL}) == []
    assert not list(find(site.root).state.glob("session-*"))
    assert not list((find(site.root).state / "runs").glob("*/record.json"))
