"""What befalls the workspace's own server, as a container, costs no run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import docker
import pytest
from mlflow import MlflowClient
from support import REPOSITORY, Done
from trainer import secrets, server_container, workspace

from faults.away import PORTS, AwaySite, check_complete

BACKENDS = pytest.mark.parametrize("backend", ["docker", "local"])


class Team(AwaySite):
    """A workspace whose server is a container."""

    @property
    def known(self) -> dict[str, str]:
        """What secrets.env has."""
        return dict(secrets.read(workspace.find(self.root)).values)

    @property
    def api(self) -> MlflowClient:
        """MLflow's own client, logged in as secrets.env says now."""
        user, password = (self.known[f"MLFLOW_TRACKING_{name}"] for name in ("USERNAME", "PASSWORD"))
        return MlflowClient(self.known["MLFLOW_TRACKING_URI"].replace("://", f"://{user}:{password}@"))

    def settled(self, run_id: str) -> Done:
        """`trainer sync`, when the run's job has ended."""
        give_up = time.monotonic() + 60
        while run_id not in (synced := self.sync()).out or "RUNNING" in synced.out:
            assert time.monotonic() < give_up, synced
            time.sleep(0.5)
        return synced


@pytest.fixture(scope="module")
def team(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    team = Team(tmp_path_factory.mktemp("team"), PORTS["own"], "docker")
    shutil.copytree(REPOSITORY / "mlflow_tracking_server", team.root / "mlflow_tracking_server")
    up = team.trainer("server", "up", timeout_s=900)
    assert up.code == 0, up.err
    yield team
    called = server_container.name(workspace.find(team.root))
    client.containers.get(called).remove(force=True)
    client.networks.get(called).remove()
    client.volumes.get(called).remove()


@pytest.fixture(autouse=True)
def nothing_left(team: Team) -> Iterator[None]:
    """Every test ends with everything on the server and nothing on this disk."""
    yield
    assert team.leftovers() == []


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
