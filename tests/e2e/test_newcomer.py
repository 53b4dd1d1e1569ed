"""The newcomer's journey: a clean copy of the repository, and `make run`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import browser
import pytest
from mlflow import MlflowClient
from support import DEAD_ENGINE, clean_environment, copy_repository
from trainer.engine import daemon
from trainer.errors import EngineError


@dataclass(frozen=True)
class Journey:
    """What `make run` printed, and the client of the server that it left running."""

    folder: Path
    backend: str
    out: str
    err: str
    client: MlflowClient
    password: str

    @property
    def run_id(self) -> str:
        """The run that it made."""
        return self.url.rpartition("/")[2].partition("?")[0]

    @property
    def url(self) -> str:
        """The run's address in the MLflow UI: the last line."""
        return self.out.strip().splitlines()[-1]


def _has_engine() -> bool:
    try:
        daemon.connect()
    except EngineError:
        return False
    return True


@pytest.fixture(scope="module", params=["docker", "local"])
def journey(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """`make run` in a clean clone, with an engine and without one."""
    backend = str(request.param)
    if backend == "docker" and not _has_engine():
        if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
            pytest.fail("TRAINER_REQUIRE_DOCKER=1, but no Docker engine answers.")
        pytest.skip("no Docker engine answers")
    folder = tmp_path_factory.mktemp(backend) / "trainer"
    copy_repository(folder)
    environment = _environment(backend)
    done = subprocess.run(["make", "run"], cwd=folder, env=environment, capture_output=True, text=True)
    try:
        assert done.returncode == 0, done.stderr + done.stdout
        address = re.search(r"http://127\.0\.0\.1:\d+", done.stdout)
        assert address
        told = subprocess.run(
            [folder / ".venv" / "bin" / "trainer", "env", "--json"],
            cwd=folder, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        password = json.loads(told.stdout)["MLFLOW_TRACKING_PASSWORD"]
        client = MlflowClient(address.group().replace("://", f"://trainer:{password}@"))
        yield Journey(folder, backend, done.stdout, done.stderr, client, password)
    finally:
        subprocess.run([folder / ".venv" / "bin" / "trainer", "server", "down"], cwd=folder)


def _environment(backend: str) -> dict[str, str]:
    return clean_environment() | ({"DOCKER_HOST": DEAD_ENGINE} if backend == "local" else {})


def test_the_run_is_finished_with_metrics_model_figures_and_log(journey: Journey, tmp_path: Path) -> None:
    run = journey.client.get_run(journey.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["trainer.backend"] == journey.backend
    assert {"accuracy", "precision", "recall", "f1", "roc_auc"} <= set(run.data.metrics)
    assert run.data.metrics["accuracy"] > 0.9
    assert run.data.tags["mlflow.trainer.git_dirty"] == "false"
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["digits", "digits"]
    assert len(run.outputs.model_outputs) == 1
    names = {artifact.path for artifact in journey.client.list_artifacts(journey.run_id)}
    assert {"confusion_matrix.png", "roc_curve.png", "train.log"} <= names
    log = Path(journey.client.download_artifacts(journey.run_id, "train.log", str(tmp_path))).read_text()
    assert "accuracy" in log
    assert log in journey.out


def test_it_ends_with_the_metrics_and_the_address(journey: Journey) -> None:
    *_, last_but_one, url = journey.out.strip().splitlines()
    assert re.search(r"^accuracy +0\.9", journey.out, re.MULTILINE)
    assert last_but_one.startswith("FINISHED  ")
    assert re.match(r"http://127\.0\.0\.1:\d+/#/experiments/", url)


def test_without_an_engine_it_says_so_in_one_line(journey: Journey) -> None:
    said = f"No Docker engine answers at {DEAD_ENGINE}. Running on the local backend instead."
    assert journey.err.splitlines().count(said) == (1 if journey.backend == "local" else 0)


def test_the_page_of_the_run_shows_it(journey: Journey) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("no chromium on this machine")
    run = journey.client.get_run(journey.run_id)
    with browser.page(("trainer", journey.password)) as page:
        page.open(journey.url)
        for text in (str(run.info.run_name), "accuracy"):
            page.wait(f"document.body.innerText.includes({json.dumps(text)})", within_s=60)


def test_the_ui_opens_with_the_scores_of_the_runs(journey: Journey) -> None:
    note = journey.client.get_run(journey.run_id).data.tags["mlflow.note.content"]
    assert re.match(r"Scores: accuracy 0\.9.*\.\n\n```sh\ntrainer run sklearn\n```\n", note)
    if shutil.which("chromium") is None:
        pytest.skip("no chromium on this machine")
    address = subprocess.run(
        [journey.folder / ".venv" / "bin" / "trainer", "ui", "sklearn", "--no-browser"],
        cwd=journey.folder, env=_environment(journey.backend), capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    # MLflow's word for a saved view whose key it knows; a column that it does not show by itself.
    with browser.page(("trainer", journey.password)) as page:
        page.open(address)
        with contextlib.suppress(AssertionError):  # MLflow's page may fail on a busy machine: reload it
            page.wait("document.body.innerText.includes('Scores and parameters')", within_s=60)
        page.open(address)
        for text in ("Scores and parameters", "viewing a shared view", "accuracy"):
            page.wait(f"document.body.innerText.includes({json.dumps(text)})", within_s=60)


def test_a_second_run_installs_and_builds_nothing(journey: Journey) -> None:
    environment = _environment(journey.backend)
    done = subprocess.run(
        ["make", "run"], cwd=journey.folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "Installing" not in done.stdout + done.stderr
    assert "#1 " not in done.stderr  # BuildKit's first line
    experiment = journey.client.get_run(journey.run_id).info.experiment_id
    assert len(journey.client.search_runs([experiment])) == 2
