"""What befalls the workspace's own server, as a container, costs no run."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests
from docker.errors import NotFound
from mlflow import MlflowClient
from support import REPOSITORY, Result
from trainer.images import spec
from trainer.server import container
from trainer.workspace import run_folders, secrets, settings

from faults.away import PORTS, STEPS, OutageSite, check_complete

BACKENDS = pytest.mark.parametrize("backend", ["docker", "local"])


class Team(OutageSite):
    """A workspace whose server is a container."""

    @property
    def known(self) -> dict[str, str]:
        """What secrets.env has."""
        return dict(secrets.read(settings.find(self.root)).values)

    @property
    def api(self) -> MlflowClient:
        """MLflow's own client, logged in as secrets.env says now."""
        user, password = (self.known[f"MLFLOW_TRACKING_{name}"] for name in ("USERNAME", "PASSWORD"))
        return MlflowClient(self.known["MLFLOW_TRACKING_URI"].replace("://", f"://{user}:{password}@"))

    def lose_store(self, client: docker.DockerClient) -> None:
        """As if somebody had removed the server with all that it holds."""
        called = container.name(settings.find(self.root))
        client.containers.get(called).remove(force=True)
        client.volumes.get(called).remove()

    def restored(self, file: Path) -> Result:
        """`trainer server restore --force`."""
        done = self.trainer("server", "restore", str(file), "--force")
        assert done.code == 0, done.err
        return done

    def settled(self, run_id: str) -> Result:
        """`trainer sync`, when the run's job has ended."""
        give_up = time.monotonic() + 60
        while run_id[:8] not in (synced := self.sync()).out or "RUNNING" in synced.out:
            assert time.monotonic() < give_up, synced
            time.sleep(0.5)
        return synced


@pytest.fixture
def small(client: docker.DockerClient, tmp_path: Path) -> Iterator[Team]:
    """A workspace whose server has a disk of 100 MB; `fill` in it is what fills it."""
    team = Team(tmp_path / "small", PORTS["full"], "docker")
    shutil.copytree(REPOSITORY / "mlflow_tracking_server", team.root / "mlflow_tracking_server")
    called = container.name(settings.find(team.root))
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=100m,mode=1777"}
    client.volumes.create(called, driver="local", driver_opts=options)
    base = spec.chosen_base(settings.find(REPOSITORY))
    client.containers.run(  # such a disk is empty again when nobody has it mounted
        base, ["sleep", "infinity"], name=f"{called}-keeper", volumes=[f"{called}:/data"], detach=True
    )
    try:
        up = team.trainer("server", "up", timeout_s=900)
        assert up.code == 0, up.err
        yield team
    finally:
        for name in (called, f"{called}-keeper"):
            with contextlib.suppress(NotFound):
                client.containers.get(name).remove(force=True)
        for network in client.networks.list(names=[called]):
            network.remove()
        client.volumes.get(called).remove()


@pytest.fixture(scope="module")
def team(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    team = Team(tmp_path_factory.mktemp("team"), PORTS["own"], "docker")
    shutil.copytree(REPOSITORY / "mlflow_tracking_server", team.root / "mlflow_tracking_server")
    up = team.trainer("server", "up", timeout_s=900)
    assert up.code == 0, up.err
    yield team
    called = container.name(settings.find(team.root))
    client.containers.get(called).remove(force=True)
    client.networks.get(called).remove()
    client.volumes.get(called).remove()


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test ends with everything on the server and nothing on this disk."""
    team: Team = request.getfixturevalue("small" if "small" in request.fixturenames else "team")
    yield
    assert team.left_behind() == []


@BACKENDS
def test_a_run_whose_servers_secrets_are_rotated_ends_truthfully(team: Team, backend: str) -> None:
    run = team.begin("--backend", backend)
    assert team.trainer("server", "rotate-secrets").code == 2
    rotated = team.trainer("server", "rotate-secrets", "--force")
    assert rotated.code == 0, rotated.err
    run.go()
    done = run.end()
    assert (done.code, "on this disk alone" in done.err) == (0, False), done.err
    check_complete(team.api, run.id)


@BACKENDS
def test_a_run_whose_server_is_moved_ends_truthfully(team: Team, backend: str) -> None:
    run = team.begin("--backend", backend)
    port = str(PORTS["own"] + (backend == "docker"))
    assert team.trainer("server", "up", "--port", port, "--force").out.endswith(f":{port}\n")
    run.go()
    done = run.end()
    assert (done.code, "on this disk alone" in done.err) == (0, False), done.err
    check_complete(team.api, run.id)


@BACKENDS
def test_a_run_whose_launcher_died_before_the_secrets_were_rotated(team: Team, backend: str) -> None:
    run = team.begin("--backend", backend)
    run.process.kill()
    run.process.wait()
    assert team.trainer("server", "rotate-secrets", "--force").code == 0
    run.go()
    assert "FINISHED" in team.settled(run.id).out
    check_complete(team.api, run.id)


@pytest.mark.parametrize("meanwhile", [True, False])
def test_a_run_is_created_again_on_a_server_whose_store_is_gone(
    team: Team, client: docker.DockerClient, meanwhile: bool
) -> None:
    assert team.trainer("run", "probe", "--offline").code == 0
    run = team.begin()
    team.lose_store(client)
    gone = team.trainer("runs")
    assert (gone.code, gone.err.splitlines()[-1]) == (84, "Hint:  Make it again: trainer server up")
    up = team.trainer("server", "up")
    assert up.code == 84
    assert "has no database." in up.err
    assert up.err.endswith("begin with an empty store: trainer server up --empty\n")
    if meanwhile:
        empty = team.trainer("server", "up", "--empty")
        assert empty.code == 0, empty.err
    run.go()
    done = run.end()
    assert done.code == 0, done.err
    assert "on this disk alone" in done.err
    if not meanwhile:
        assert team.trainer("server", "up", "--empty").code == 0
    asked = team.sync()
    assert asked.code == 84
    assert "is not on http://127.0.0.1" in asked.err
    hint = f"To create it there again, from this disk: trainer sync {run.id[:8]} --recreate"
    assert asked.err.endswith(f"{hint}\n")
    again = team.sync(run.id[:8], "--recreate")
    assert again.code == 0, again.err
    made = {record.offline_id: record.run_id for record in run_folders.history(settings.find(team.root))}
    check_complete(team.api, made[run.id])
    assert team.api.get_run(made[run.id]).data.tags["trainer.recreated"] == "its server had lost it"
    assert json.loads(team.trainer("show", run.id, "--json").out)["run_id"] == made[run.id]


def test_a_run_that_was_live_in_a_backup_is_killed_by_its_restore(team: Team, tmp_path: Path) -> None:
    file = tmp_path / "saved.tar"
    lost = team.begin()
    assert team.trainer("server", "backup", str(file)).code == 0
    lost.go()
    assert lost.end().code == 0
    assert team.api.get_run(lost.id).info.status == "FINISHED"
    done = team.restored(file)
    assert "KILLED: 1 run, live when the backup was made and not any more.\n" in done.err
    run = team.api.get_run(lost.id)
    assert run.info.status == "KILLED"
    assert run.data.tags["trainer.end"] == "live when the restored backup was made"
    assert run.info.start_time <= run.info.end_time <= file.stat().st_mtime * 1000


def test_what_a_run_logged_after_the_backup_is_delivered_again(team: Team, tmp_path: Path) -> None:
    file = tmp_path / "saved.tar"
    run = team.begin("--backend", "local")
    assert team.trainer("server", "backup", str(file)).code == 0
    run.process.kill()  # so that nobody tells the server of the run's end
    run.process.wait()
    run.go()
    give_up = time.monotonic() + 60
    while not (run.folder / "result").exists() or len(team.api.get_metric_history(run.id, "loss")) < STEPS:
        assert time.monotonic() < give_up
        time.sleep(0.2)
    team.restored(file)
    while team.leftovers():
        assert time.monotonic() < give_up + 60
        team.sync()
    ended = team.api.get_run(run.id)
    assert ended.info.status == "FINISHED"
    assert ended.data.tags["shape"] == "round"
    points = team.api.get_metric_history(run.id, "loss")
    assert sorted(point.step for point in points) == list(range(STEPS))


def test_a_run_that_is_live_or_whose_end_is_known_survives_a_restore(team: Team, tmp_path: Path) -> None:
    file = tmp_path / "saved.tar"
    ended, live = team.begin(), team.begin("--backend", "local")
    assert team.trainer("server", "backup", str(file)).code == 0
    team.trainer("server", "down", "--force")
    ended.go()
    assert "on this disk alone" in ended.end().err
    assert "KILLED" not in team.restored(file).err
    check_complete(team.api, ended.id)
    assert team.api.get_run(live.id).info.status == "RUNNING"
    live.go()
    done = live.end()
    assert (done.code, "on this disk alone" in done.err) == (0, False), done.err
    check_complete(team.api, live.id)


def test_a_full_disk_of_the_server_is_reported_in_one_line_and_loses_nothing(
    small: Team, client: docker.DockerClient
) -> None:
    keeper = client.containers.get(f"{container.name(settings.find(small.root))}-keeper")
    run = small.begin()
    keeper.exec_run(["sh", "-c", "head -c 200m /dev/zero >/data/fill"])
    run.go()
    done = run.end()
    experiment = small.api.get_run(run.id).info.experiment_id
    place = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run.id}/artifacts/large.bin"
    user, password = (small.known[f"MLFLOW_TRACKING_{name}"] for name in ("USERNAME", "PASSWORD"))
    full = requests.put(
        small.known["MLFLOW_TRACKING_URI"] + place, bytes(1 << 20), auth=(user, password), timeout=60
    )
    assert (full.status_code, full.json()["message"]) == (507, "The server's disk is full.")
    assert done.code == 0, done.err
    [told] = [line for line in done.err.splitlines() if "on this disk alone" in line]
    assert told.endswith("are on this disk alone: the server's disk is full.")
    assert "FULL: 0.0 of 104.9 MB free" in small.trainer("server", "status").out
    doctor = json.loads(small.trainer("doctor", "--json").out)
    [disk] = [check for check in doctor if check["name"] == "tracking server's disk"]
    assert (disk["status"], disk["found"]) == ("failure", "0.0 of 104.9 MB free: nothing can be stored")
    synced = small.sync()
    assert synced.code == 84
    assert "the server's disk is full." in synced.err
    keeper.exec_run(["rm", "/data/fill"])
    delivered = small.sync()
    assert delivered.code == 0, delivered.err
    check_complete(small.api, run.id)
