"""A tracking server that is away costs no point, no file and no training."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import requests
from mlflow import MlflowClient
from trainer.engine import daemon
from trainer.errors import EngineError

from faults.away import PORTS, STEPS, OutageSite, check_complete, engine_over_tcp, gate

LEFT = "are on this disk alone: "
HINT = "Nothing is lost: `trainer sync` brings them when the server answers."


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], OutageSite]]:
    """One workspace a backend, made when it is first needed."""
    made: dict[str, OutageSite] = {}

    def of(backend: str) -> OutageSite:
        if backend not in made:
            made[backend] = OutageSite(tmp_path_factory.mktemp(backend), PORTS[backend], backend)
        return made[backend]

    yield of
    for site in made.values():
        site.trainer("server", "down", "--force")


@pytest.fixture(params=["docker", "local"])
def site(request: pytest.FixtureRequest, sites: Callable[[str], OutageSite]) -> OutageSite:
    """Each backend's. Without an engine docker's is skipped, or fails where TRAINER_REQUIRE_DOCKER=1."""
    if request.param == "docker":
        try:
            daemon.connect()
        except EngineError as error:
            if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
                pytest.fail(f"TRAINER_REQUIRE_DOCKER=1, but: {error.message}")
            pytest.skip(error.message)
    return sites(str(request.param))


@pytest.fixture
def local_site(sites: Callable[[str], OutageSite]) -> OutageSite:
    """For what does not differ between backends."""
    return sites("local")


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test ends with everything on the server and nothing on this disk."""
    used = [request.getfixturevalue(name) for name in ("site", "local_site") if name in request.fixturenames]
    yield
    assert [site.left_behind() for site in used] == [[]] * len(used)


def test_a_server_that_is_killed_and_stays_away(site: OutageSite) -> None:
    run = site.begin()
    site.server(signal.SIGKILL)
    run.go()
    done = run.end()
    assert done.code == 0, done.err
    assert "all logged" in done.out
    lines = done.err.splitlines()[-2:]
    assert LEFT in lines[0]
    assert lines[0].endswith("refuses connections.")
    assert lines[1] == HINT
    waiting = site.sync("--dry-run")
    assert run.id[:8] in waiting.out
    assert "delivered" not in waiting.out
    synced = site.sync()
    assert (synced.code, "delivered" in synced.out) == (0, True), synced.err
    check_complete(site.client, run.id)
    again = site.sync()
    assert (again.code, again.out) == (0, "Nothing to do: everything is on the tracking server.\n")
    check_complete(site.client, run.id)


def test_a_server_that_hangs(site: OutageSite) -> None:
    run = site.begin()
    site.server(signal.SIGSTOP)
    start = time.monotonic()
    run.go()
    try:
        done = run.end()
    finally:
        site.server(signal.SIGCONT)
    assert done.code == 0, done.err
    assert "all logged" in done.out
    assert time.monotonic() - start < 45  # MLflow's own client tries for minutes
    assert LEFT in done.err
    assert "gave no answer in 15 s." in done.err
    assert site.sync(run.id[:8]).code == 0
    check_complete(site.client, run.id)


def test_a_server_that_comes_back_while_the_run_goes_on(site: OutageSite) -> None:
    run = site.begin()
    site.server(signal.SIGSTOP)
    time.sleep(1)
    site.server(signal.SIGCONT)
    run.go()
    done = run.end()
    assert (done.code, LEFT in done.err) == (0, False), done.err
    check_complete(site.client, run.id)


def test_a_run_whose_launcher_was_killed_too(site: OutageSite) -> None:
    run = site.begin()
    site.server(signal.SIGKILL)
    run.process.kill()
    run.process.wait()
    run.go()
    give_up = time.monotonic() + 60
    while "FINISHED" not in (synced := site.sync()).out:
        assert time.monotonic() < give_up, synced
        time.sleep(0.5)
    check_complete(site.client, run.id)


def test_a_training_that_is_killed_loses_nothing_that_was_logged(site: OutageSite) -> None:
    run = site.begin()
    site.server(signal.SIGKILL)
    if site.backend == "docker":
        docker.from_env().containers.get(f"trainer-{run.id}").kill("SIGKILL")
    else:
        os.killpg(int((run.folder / "pid").read_text()), signal.SIGKILL)
    done = run.end()
    assert done.code != 0
    assert LEFT in done.err
    assert site.sync().code == 0
    ended = site.run(run.id)
    assert ended.info.status in ("FAILED", "KILLED")
    assert len(site.client.get_metric_history(run.id, "loss")) == 20


def test_offline_on_purpose(site: OutageSite) -> None:
    site.trainer("server", "down", "--force")
    run = site.begin("--offline")
    run.go()
    done = run.end()
    assert done.code == 0, done.err
    assert "no tracking server was asked (--offline)." in done.err
    assert not (site.root / ".trainer" / "server.alive").exists() or not _answers(site)
    early = site.trainer("show", run.id)
    assert (early.code, early.err.splitlines()[-1]) == (
        2,
        f"Hint:  Bring it there: trainer sync {run.id[:8]}",
    )
    ended = int(time.time() * 1000)
    synced = site.sync()
    assert synced.code == 0, synced.err
    results = [r for r in site.runs() if r.data.tags.get("trainer.offline_id") == run.id]
    assert [r.info.run_name for r in results] == [f"offline-{run.id[:8]}"]
    assert results[0].info.end_time <= ended
    check_complete(site.client, results[0].info.run_id)
    given = results[0].info.run_id
    # The id that it was printed with leads to it, as do its name and the id that the server gave it.
    for said in (run.id, run.id[:10], given, f"offline-{run.id[:8]}", "@last"):
        shown = site.trainer("show", said, "--json")
        assert json.loads(shown.out)["run_id"] == given
    for said in (run.id, f"offline-{run.id[:8]}"):
        assert "all logged" in site.trainer("logs", said).out
    same = site.trainer("compare", run.id, given)
    assert (same.code, "at least two different runs" in same.err) == (2, True)
    again = site.trainer("reproduce", run.id, "--dry-run", "--json")
    assert json.loads(again.out)["reproduces"] == given, again.err
    model = results[0].outputs.model_outputs[0].model_id
    text = Path(site.client._tracking_client._get_artifact_repo(model, resource="logged_model")
                .download_artifacts("MLmodel")).read_text()  # fmt: skip
    assert f"model_id: {model}" in text
    assert f"run_id: {results[0].info.run_id}" in text


def _answers(site: OutageSite) -> bool:
    try:
        return requests.get(site.uri + "/health", timeout=2).ok
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("site", ["docker"], indirect=True)
def test_an_engine_that_cannot_mount_the_journal_gives_it_back(site: OutageSite) -> None:
    socket = daemon.endpoint().removeprefix("unix://")
    (site.root / "data").rename(site.root / "no-data")  # which could not be mounted either
    try:
        with engine_over_tcp(socket) as address:
            done = site.trainer("run", "probe", "--offline", env={"DOCKER_HOST": address})
    finally:
        (site.root / "no-data").rename(site.root / "data")
    assert done.code == 0, done.err
    assert "1 point, 4 files" in done.err
    [run_id] = site.leftovers()
    assert site.sync().code == 0
    [found] = [r for r in site.runs() if r.data.tags.get("trainer.offline_id") == run_id]
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"answer": 42})


def test_a_server_that_answers_500(local_site: OutageSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site = local_site
    for name, value in site.access.items():
        if name != "MLFLOW_TRACKING_URI":
            monkeypatch.setenv(name, value)
    with gate(site.uri) as front:
        run = site.begin("--tracking-uri", front.uri)
        front.status = 500
        run.go()
        done = run.end()
        assert done.code == 0, done.err
        assert "the server answered 500: not now" in done.err
        assert site.sync().code == 84
        front.status = 0
        assert site.sync().code == 0
    check_complete(site.client, run.id)


def test_a_front_that_refuses_one_route_costs_that_alone(
    local_site: OutageSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = local_site
    for name, value in site.access.items():
        if name != "MLFLOW_TRACKING_URI":
            monkeypatch.setenv(name, value)
    with gate(site.uri) as front:
        front.name, front.missing = "nginx/1.22.1", "/runs/log-inputs"
        run = site.begin("--tracking-uri", front.uri)
        run.go()
        done = run.end()
        told = (
            f"The tracking server refused 1 record of the run {run.id[:8]} for good: "
            "nginx/1.22.1, in front of the server, answered 404: Not Found."
        )
        kept = site.root / ".trainer" / "refused" / run.id
        assert done.code == 84, done.err
        hint = f"This is kept in {kept}; to send it again: trainer sync {run.id[:8]} --refused"
        assert done.err.splitlines()[-2:] == [f"Error: {told}", f"Hint:  The rest is delivered. {hint}"]
        assert "<" not in done.err
        again = site.sync()
        assert (again.code, again.out) == (0, "Nothing to do: the rest is on the tracking server.\n")
        assert told in again.err
        assert json.loads(site.sync("--json").out)[0]["refused"] == 1
        for command in (("reconcile",), ("sync", "--dry-run")):
            assert site.trainer(*command).err.endswith(f"{told} It is in {kept}\n")
        assert f"refused: {told} It is in {kept}\n" in site.trainer("show", run.id).out
    seen = site.client.get_run(run.id)
    assert (seen.info.status, seen.inputs.dataset_inputs) == ("FINISHED", [])
    assert len(site.client.get_metric_history(run.id, "loss")) == STEPS
    assert "404: Not Found" in seen.data.tags["trainer.refused"]
    (line,) = (kept / "spool" / "refused").read_text().splitlines()
    assert json.loads(line)["record"]["path"].endswith("/runs/log-inputs")


@dataclass(frozen=True)
class Guarded:
    """A server with passwords."""

    uri: str
    password: str = "before-it-was-changed"

    def environment(self, password: str) -> dict[str, str]:
        """What makes `trainer` use it."""
        return {"MLFLOW_TRACKING_USERNAME": "teamlead", "MLFLOW_TRACKING_PASSWORD": password}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    ini = tmp_path / "auth.ini"
    ini.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{tmp_path}/auth.db\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "admin_username = teamlead\nadmin_password = not-used-here-at-all\n"
    )
    server = Guarded(f"http://127.0.0.1:{PORTS['guarded']}")
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1",
         "--host", "127.0.0.1", "--port", str(PORTS["guarded"]),
         "--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts-destination", str(tmp_path)],
        cwd=tmp_path, start_new_session=True, stdout=(tmp_path / "log").open("wb"), stderr=subprocess.STDOUT,
        env={**os.environ, "MLFLOW_AUTH_CONFIG_PATH": str(ini), "MLFLOW_AUTH_ADMIN_USERNAME": "teamlead",
             "MLFLOW_AUTH_ADMIN_PASSWORD": server.password,
             "MLFLOW_FLASK_SERVER_SECRET_KEY": "for-tests-alone",
             "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )  # fmt: skip
    try:
        give_up = time.monotonic() + 120
        while True:
            assert time.monotonic() < give_up, (tmp_path / "log").read_text()[-2000:]
            try:
                if requests.get(f"{server.uri}/version", auth=("teamlead", server.password), timeout=5).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.3)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_a_password_that_is_changed_in_mid_run(
    local_site: OutageSite, guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, new = local_site, "after-it-was-changed"
    run = site.begin("--tracking-uri", guarded.uri, env=guarded.environment(guarded.password))
    changed = requests.patch(
        f"{guarded.uri}/api/2.0/mlflow/users/update-password", auth=("teamlead", guarded.password),
        json={"username": "teamlead", "password": new, "current_password": guarded.password}, timeout=30,
    )  # fmt: skip
    assert changed.ok, changed.text
    run.go()
    done = run.end()
    assert done.code == 0, done.err
    assert "the server refuses our user name and password (401)" in done.err
    assert new not in done.out + done.err
    for name, value in guarded.environment(new).items():
        monkeypatch.setenv(name, value)
    assert site.sync().code == 0
    check_complete(MlflowClient(guarded.uri), run.id)


def test_a_sync_that_is_killed_is_finished_by_the_next(local_site: OutageSite) -> None:
    site = local_site
    run = site.begin("--offline")
    run.go()
    assert run.end().code == 0
    site.trainer("server", "up", "--process")
    randomly = random.Random(2)
    kills = 0
    while site.leftovers() and kills < 12:
        killed = site.start("sync")
        acknowledged = run.folder / "spool" / "delivered"
        before = acknowledged.read_text() if acknowledged.exists() else ""
        while killed.poll() is None and acknowledged.exists() and acknowledged.read_text() == before:
            time.sleep(0.005)
        time.sleep(randomly.random() * 0.05)
        kills += killed.poll() is None
        killed.kill()
        killed.communicate()
    assert kills > 2
    if site.leftovers():
        assert site.sync().code == 0
    [found] = [r for r in site.runs() if r.data.tags.get("trainer.offline_id") == run.id]
    check_complete(site.client, found.info.run_id)
