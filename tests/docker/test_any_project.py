"""Projects that were not written for trainer, in the shape of well-known ones, on the real engine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from support import CANARY, PROJECTS, REPOSITORY, Site
from trainer import images, workspace

BARE, STOCK = "trainer-test-bare", "mlflow-docker-example"


def build(project: str, tag: str, base: str) -> None:
    """The project's own image, as its README would say."""
    command = [
        "docker",
        "buildx",
        "build",
        "--quiet",
        "--load",
        f"--build-arg=BASE_IMAGE={base}",
        f"--tag={tag}",
    ]
    subprocess.run([*command, str(PROJECTS / project)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def bare(client: docker.DockerClient) -> Iterator[str]:
    """An image that has a shell and hardly anything else."""
    build("bare", BARE, images.chosen_base(workspace.find(REPOSITORY)))
    yield BARE
    client.images.remove(BARE, force=True)


@pytest.fixture
def stock(client: docker.DockerClient, site: Site) -> Iterator[str]:
    """An image with a stock MLflow."""
    here = workspace.find(site.root)
    build("docker_example", STOCK, images.plan(here, images.spec(here, "sklearn")).tag)
    yield STOCK
    client.images.remove(STOCK, force=True)


@pytest.fixture
def project(request: pytest.FixtureRequest, site: Site) -> Iterator[Path]:
    """The test project of that name, in the workspace."""
    place = site.root / "train_code" / str(request.param)
    shutil.copytree(PROJECTS / str(request.param), place)
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize("project", ["bare"], indirect=True)
def test_an_image_with_nothing_but_a_shell(
    site: Site, project: Path, bare: str, client: docker.DockerClient, tmp_path: Path
) -> None:
    shared = project / "host data"
    shared.mkdir()
    (shared / "given.txt").write_text("from the host\n")
    done = site.trainer("run", "bare", "--code", "3")
    assert done.code == 3, done.err
    run = site.run(done.run_id)
    assert (run.info.status, run.data.tags["trainer.end"]) == ("FAILED", "exit code 3")
    assert run.data.params == {"code": "3"}
    assert run.data.tags["trainer.image"] == bare
    assert run.data.tags["trainer.image_id"] == client.images.get(bare).id
    log = site.log(done.run_id, tmp_path)
    # Its own entry point came first and its own environment is there; the user is the one of this host.
    assert log.startswith("entered, 3\nhello from /trainer/code, two words, token ***\ntracking http://")
    assert f" {done.run_id}\nfrom the host\n" in log
    assert CANARY not in log + done.out + done.err
    assert (shared / "written.txt").read_text() == "written\n"
    assert (shared / "written.txt").stat().st_uid == project.stat().st_uid
    assert (shared / "given.txt").read_text() == "from the host\n"
    # It kept nothing that it could go on from, and its volumes were the project's own.
    again = site.trainer("resume", done.run_id, "--from-scratch")
    assert again.code == 2
    assert "had the volume $(pwd)/host data:/data" in again.err


@pytest.mark.parametrize("project", ["docker_example"], indirect=True)
@pytest.mark.usefixtures("project", "stock")
def test_a_stock_mlflow_logs_over_plain_http(site: Site, tmp_path: Path) -> None:
    done = site.trainer("run", "docker_example", "--alpha", "0.5", env={"MLFLOW_TRACKING_URI": ""})
    assert done.code == 0, done.err
    run = site.run(done.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"alpha": "0.5", "l1_ratio": "0.1", "language": "en"}
    assert run.data.metrics == {"rmse": pytest.approx(-1.4)}
    assert len(site.client.get_metric_history(done.run_id, "rmse")) == 3
    assert site.artifact(done.run_id, "scheme.txt", tmp_path).read_text() == "scheme http"
    assert site.log(done.run_id, tmp_path).startswith(f"logged to {done.run_id}\n")
    offline = site.trainer("run", "docker_example", "--alpha", "0.5", "--offline")
    assert offline.code == 2
    assert "mlflow-docker-example has no trainkit" in offline.err


def test_an_image_that_cannot_be_had_is_named_before_a_run_exists(site: Site) -> None:
    before = len(site.runs())
    done = site.trainer("run", "probe", "--image", "localhost:1/nobody/here:v1")
    assert done.code == 83
    error, hint = done.err.splitlines()[-2:]
    assert error.startswith(
        "Error: The image localhost:1/nobody/here:v1 is neither here nor can it be pulled: "
    )
    assert hint.startswith("Hint:  Check its name, build it, or `docker login`")
    assert len(site.runs()) == before


def test_an_image_without_a_shell_is_refused_before_a_run_exists(
    site: Site, client: docker.DockerClient, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    client.images.build(path=str(tmp_path), tag="trainer-test-empty", rm=True)
    before = len(site.runs())
    try:
        done = site.trainer("run", "probe", "--image", "trainer-test-empty:latest")
    finally:
        client.images.remove("trainer-test-empty", force=True)
    assert done.code == 83
    assert "Error: The image has no sh, which trainer starts a run's command with.\n" in done.err
    assert len(site.runs()) == before


def test_a_local_run_has_no_foreign_image(site: Site) -> None:
    done = site.trainer("run", "probe", "--backend", "local", "--image", "python:3.11")
    assert done.code == 2
    assert "Error: The local backend cannot run in the image python:3.11" in done.err
