"""The workspace's tracking server as a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock

import docker
import pytest
import requests
from mlflow import MlflowClient
from support import REPOSITORY, Result, Site
from trainer.errors import InvalidInput
from trainer.server import container as server_container
from trainer.server import live_runs, service
from trainer.workspace import secrets, settings

NAMES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY")


def make(root: Path, port: int) -> Site:
    site = Site(root, port)
    site.secret("PROBE_TOKEN", "canary-of-the-probe")
    shutil.copytree(REPOSITORY / "mlflow_tracking_server", root / "mlflow_tracking_server")
    return site


def called(site: Site) -> str:
    return server_container.name(settings.find(site.root))


def known(site: Site) -> dict[str, str]:
    return dict(secrets.read(settings.find(site.root)).values)


def wipe(client: docker.DockerClient, site: Site) -> None:
    """As if the workspace never had a server."""
    for container in client.containers.list(all=True, filters={"name": called(site)}, ignore_removed=True):
        container.remove(force=True)
    for network in client.networks.list(names=[called(site)]):
        network.remove()
    for volume in client.volumes.list(filters={"name": called(site)}):
        volume.remove(force=True)


@pytest.fixture(scope="module")
def team(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace whose server is a container, and which holds one run."""
    team = make(tmp_path_factory.mktemp("team"), port=5440)
    up = ok(team.trainer("server", "up"))
    assert up.out == "http://127.0.0.1:5440\n"
    ok(team.trainer("run", "probe"))
    yield team
    wipe(client, team)


@pytest.fixture
def fresh(client: docker.DockerClient, tmp_path: Path) -> Iterator[Site]:
    """A workspace that has no server yet."""
    fresh = make(tmp_path / "fresh", port=5460)
    yield fresh
    fresh.trainer("server", "down", "--force")
    wipe(client, fresh)


def ok(done: Result) -> Result:
    assert done.code == 0, done.err
    return done


def api(site: Site) -> MlflowClient:
    """MLflow's own client, logged in as secrets.env says."""
    values = known(site)
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        os.environ[name] = values[name]
    return MlflowClient(values["MLFLOW_TRACKING_URI"])


@pytest.fixture(autouse=True)
def own_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `api` sets is gone after each test."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def runs(site: Site) -> list[str]:
    client = api(site)
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    os.environ.pop("MLFLOW_TRACKING_USERNAME")
    os.environ.pop("MLFLOW_TRACKING_PASSWORD")
    return sorted(run.info.run_id for run in found)


def login(site: Site, user: str, password: str) -> int:
    uri = known(site)["MLFLOW_TRACKING_URI"]
    return requests.get(f"{uri}/version", auth=(user, password), timeout=10).status_code


def test_it_is_shut_to_strangers_and_its_secrets_are_in_one_file(
    team: Site, client: docker.DockerClient
) -> None:
    values, container = known(team), client.containers.get(called(team))
    assert stat.S_IMODE((team.root / "secrets.env").stat().st_mode) == 0o600
    assert requests.get(f"{values['MLFLOW_TRACKING_URI']}/version", timeout=10).status_code == 401
    assert login(team, values["MLFLOW_TRACKING_USERNAME"], values["MLFLOW_TRACKING_PASSWORD"]) == 200
    told = json.loads(ok(team.trainer("env", "--json")).out)
    assert told == {name: value for name, value in values.items() if name.startswith("MLFLOW_TRACKING_")}
    seen = [
        json.dumps(container.attrs),
        ok(team.trainer("server", "logs", "-n", "1000")).out,
        str(container.top()),
        str(container.exec_run(["cat", "/proc/1/cmdline"]).output),
        json.dumps(client.images.get(container.attrs["Image"]).history()),
        *(path.read_text(errors="replace") for path in (team.root / ".trainer").rglob("*") if path.is_file()),
    ]
    for name in NAMES:
        assert len(values[name]) > 20
        assert not [text for text in seen if values[name] in text], name


def test_it_is_published_on_this_machine_alone_and_may_do_little(
    team: Site, client: docker.DockerClient
) -> None:
    attrs = client.containers.get(called(team)).attrs
    assert attrs["NetworkSettings"]["Ports"] == {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "5440"}]}
    assert list(attrs["NetworkSettings"]["Networks"]) == [called(team)]
    assert [(mount["Type"], mount["Name"], mount["Destination"]) for mount in attrs["Mounts"]] == [
        ("volume", called(team), "/data")
    ]
    host = attrs["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["Memory"]) == (True, ["ALL"], 2**30)
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert "no-new-privileges" in host["SecurityOpt"]
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; says which address the way out has
        outward = probe.getsockname()[0]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((outward, 5440), timeout=10)


def test_a_run_reports_to_it_from_its_container(team: Site) -> None:
    done = ok(team.trainer("run", "probe"))
    run = api(team).get_run(done.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"answer": 42.0}
    artifacts = {item.path for item in api(team).list_artifacts(done.run_id)}
    assert {"train.log", "trainer"} <= artifacts


def test_a_stopped_server_is_started_for_a_run(team: Site, client: docker.DockerClient) -> None:
    assert team.trainer("server", "down").out == "Stopped.\n"
    assert team.trainer("server", "down").out == "It was not running.\n"
    status = json.loads(team.trainer("server", "status", "--json").out)
    assert (status["status"], status["form"]) == ("down", "container")
    ok(team.trainer("run", "probe"))
    assert client.containers.get(called(team)).status == "running"
    # Nor is a user asked to do what `up` does.
    team.trainer("server", "down")
    assert ok(team.trainer("ui", "--no-browser")).out.startswith("http://127.0.0.1:5440/#/experiments")


def test_backup_down_restore_and_the_runs_are_still_there(
    team: Site, client: docker.DockerClient, tmp_path: Path
) -> None:
    before = runs(team)
    file = tmp_path / "saved.tar.gz"
    payload = json.loads(ok(team.trainer("server", "backup", str(file), "--json")).out)
    assert payload["counts"]["runs"] == len(before) > 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    later = ok(team.trainer("run", "probe")).run_id
    team.trainer("server", "down")
    done = ok(team.trainer("server", "restore", str(file)))
    assert runs(team) == before
    # What was there is not lost either.
    [saved] = set(re.findall(r"\S+before-restore-\S+\.tar", done.err))
    ok(team.trainer("server", "restore", saved))
    assert runs(team) == sorted([*before, later])
    # On an engine that knows nothing of it.
    wipe(client, team)
    ok(team.trainer("server", "restore", str(file)))
    assert runs(team) == before
    log = api(team).download_artifacts(before[0], "train.log", str(tmp_path))
    assert Path(log).read_text()


@pytest.mark.parametrize("seconds", [0.5, 1.5, 3, 5])
def test_a_restore_that_was_killed_leaves_one_store_or_the_other(
    team: Site, client: docker.DockerClient, tmp_path: Path, seconds: float
) -> None:
    before = runs(team)
    file = tmp_path / "saved.tar"
    ok(team.trainer("server", "backup", str(file)))
    later = ok(team.trainer("run", "probe")).run_id
    process = team.start("server", "restore", str(file))
    time.sleep(seconds)  # wherever that is, it must hold
    process.kill()
    process.communicate()
    ok(team.trainer("server", "up"))
    assert runs(team) in (before, sorted([*before, later]))
    mine = client.containers.list(all=True, filters={"volume": called(team)}, ignore_removed=True)
    assert [container.name for container in mine] == [called(team)]


@pytest.mark.parametrize("harm", ["cut", "changed", "text", "missing"])
def test_a_backup_that_is_not_whole_changes_nothing(team: Site, tmp_path: Path, harm: str) -> None:
    good, bad = tmp_path / "good.tar", tmp_path / "bad.tar"
    ok(team.trainer("server", "backup", str(good)))
    content = bytearray(good.read_bytes())
    if harm == "changed":
        content[content.index(b"answer")] ^= 1
    if harm != "missing":
        half, hello = content[: len(content) // 2], bytearray(b"hello")
        bad.write_bytes({"cut": half, "changed": content, "text": hello}[harm])
    before = runs(team)
    done = team.trainer("server", "restore", str(bad))
    assert done.code == 2
    assert len(done.error) <= 3
    assert runs(team) == before
    assert team.trainer("server", "backup", str(good)).error[0].startswith(f"Error: {good} already exists.")


def test_accounts(team: Site) -> None:
    made = ok(team.trainer("server", "users", "add", "ada", "--generate"))
    password = made.out.strip()
    assert login(team, "ada", password) == 200
    admin = known(team)["MLFLOW_TRACKING_USERNAME"]
    assert json.loads(team.trainer("server", "users", "list", "--json").out) == [
        {"name": "ada", "admin": False},
        {"name": admin, "admin": True},
    ]
    again = team.trainer("server", "users", "add", "ada", "--generate")
    assert (again.code, again.out) == (2, "")
    assert "There is an account ada already." in again.err
    ok(team.trainer("server", "users", "password", "ada", "--generate"))
    assert login(team, "ada", password) == 401
    assert "Did you mean ada?" in team.trainer("server", "users", "remove", "adda").err
    assert "rotate-secrets" in team.trainer("server", "users", "password", admin, "--generate").err
    assert team.trainer("server", "users", "remove", admin).code == 2
    short = subprocess.run(
        [sys.executable, "-m", "trainer", "server", "users", "add", "bob", "--password-stdin"],
        cwd=team.root, input="too short\n", text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert (short.returncode, "12 or more" in short.stderr) == (2, True)
    ok(team.trainer("server", "users", "remove", "ada"))
    assert [user["name"] for user in json.loads(team.trainer("server", "users", "list", "--json").out)] == [
        admin
    ]


def test_another_workspace_connects_to_it(team: Site, tmp_path: Path) -> None:
    mate, values = Site(tmp_path / "mate", port=5470), known(team)
    uri, username = values["MLFLOW_TRACKING_URI"], values["MLFLOW_TRACKING_USERNAME"]
    refused = mate.trainer("server", "connect", uri)
    assert refused.code == 2
    command = [sys.executable, "-m", "trainer", "server", "connect", uri, "--username", username]
    password = values["MLFLOW_TRACKING_PASSWORD"]
    done = subprocess.run(
        [*command, "--password-stdin"], cwd=mate.root, input=password, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f" at {uri} as {username}.\n" in done.stdout
    assert f"\ntracking_uri: {uri}\n" in f"\n{(mate.root / 'trainer.yaml').read_text()}"
    assert password not in done.stdout + done.stderr + (mate.root / "trainer.yaml").read_text()
    assert {"MLFLOW_TRACKING_PASSWORD", "PROBE_TOKEN"} < set(known(mate))
    assert "probe" in ok(mate.trainer("runs")).out
    assert not (mate.root / "mlruns").exists()


def test_rotated_secrets_count_at_once_and_the_old_ones_no_more(team: Site) -> None:
    old = known(team)
    ok(team.trainer("server", "rotate-secrets"))
    new = known(team)
    user = old["MLFLOW_TRACKING_USERNAME"]
    assert [old[name] == new[name] for name in NAMES] == [False, False]
    assert login(team, user, old["MLFLOW_TRACKING_PASSWORD"]) == 401
    assert login(team, user, new["MLFLOW_TRACKING_PASSWORD"]) == 200
    ok(team.trainer("run", "probe"))


def test_up_heals_a_rotation_that_was_interrupted(team: Site) -> None:
    workspace = settings.find(team.root)
    secrets.store(workspace, {"MLFLOW_TRACKING_PASSWORD": "written-but-not-told-yet"})
    assert team.trainer("server", "users", "list").code == 85
    ok(team.trainer("server", "up"))
    assert login(team, known(team)["MLFLOW_TRACKING_USERNAME"], "written-but-not-told-yet") == 200


def test_a_port_that_another_program_took_locks_nobody_out(team: Site, client: docker.DockerClient) -> None:
    before, account = runs(team), known(team)["MLFLOW_TRACKING_PASSWORD"]
    assert team.trainer("run", "--offline", "probe").code == 0  # its record has the address of now
    team.trainer("server", "down", "--force")
    with socket.create_server(("127.0.0.1", 5440)):
        listed = ok(team.trainer("runs", "--json"))
        address = known(team)["MLFLOW_TRACKING_URI"]
        port = int(address.rpartition(":")[2])  # the next that nobody has
        assert port > 5440
        taken = f"Port 5440 is taken: the tracking server is on port {port}.\n"
        assert listed.err.splitlines(keepends=True).count(taken) == 1
        assert sorted(run["run_id"] for run in json.loads(listed.out)) == before
        assert known(team)["MLFLOW_TRACKING_PASSWORD"] == account
        ok(team.trainer("sync"))
        ok(team.trainer("run", "probe"))  # whose container calls the server by its name
        assert len(runs(team)) == len(before) + 2
        asked = ok(team.trainer("server", "up", "--port", "5440"))
        assert asked.out == f"{address}\n"
        assert taken in asked.err
    assert ok(team.trainer("server", "up", "--port", "5440")).out == "http://127.0.0.1:5440\n"
    assert known(team)["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5440"
    assert len(runs(team)) == len(before) + 2
    assert len(client.containers.list(all=True, filters={"name": called(team)})) == 1


@pytest.mark.parametrize("left", ["-next", "-old"])
def test_a_move_that_was_interrupted_is_settled(team: Site, client: docker.DockerClient, left: str) -> None:
    team.trainer("server", "down", "--force")
    client.containers.get(called(team)).rename(called(team) + left)
    for network in client.networks.list(names=[called(team)]):
        network.remove()  # the container cannot be started as it was made any more
    ok(team.trainer("runs"))
    assert [
        container.name for container in client.containers.list(all=True, filters={"name": called(team)})
    ] == [called(team)]
    ok(team.trainer("run", "probe"))


def test_a_server_that_was_killed_comes_back(team: Site, client: docker.DockerClient) -> None:
    container = client.containers.get(called(team))
    pid = container.attrs["State"]["Pid"]
    # Its process is another user's, whom the engine can kill.
    client.containers.run(
        container.attrs["Image"], ["sh", "-c", f"kill -9 {pid}"], entrypoint=[], user="0", pid_mode="host",
        network_mode="none", remove=True,
    )  # fmt: skip
    ok(team.trainer("server", "up"))
    container.reload()
    assert container.attrs["State"]["Pid"] != pid
    assert len(runs(team)) > 0


def test_an_upgrade_keeps_what_is_there(team: Site, client: docker.DockerClient) -> None:
    before, old = runs(team), client.containers.get(called(team)).attrs["Config"]["Image"]
    put_new_version(team, "# another version\n")
    assert "newer version" in ok(team.trainer("server", "up")).err
    ok(team.trainer("server", "upgrade"))
    assert client.containers.get(called(team)).attrs["Config"]["Image"] != old
    assert runs(team) == before
    assert "up to date" in ok(team.trainer("server", "upgrade")).out


def test_an_upgrade_that_fails_is_taken_back(team: Site, client: docker.DockerClient) -> None:
    before, old = runs(team), client.containers.get(called(team)).id
    # It harms the store first, and then does not start.
    put_new_version(
        team,
        "import sqlite3\n"
        "with sqlite3.connect('/data/mlflow.db') as database:\n"
        "    database.execute('DELETE FROM tags'); database.execute('DELETE FROM metrics')\n"
        "raise SystemExit('mlflow_server: this version is no good')\n",
    )
    done = team.trainer("server", "upgrade")
    assert done.code == 84
    assert "The upgrade failed" in done.err
    assert "this version is no good" in done.err
    assert client.containers.get(called(team)).id == old
    assert runs(team) == before
    assert all(api(team).get_run(run).data.metrics for run in before)
    assert [
        container.name for container in client.containers.list(all=True, filters={"name": called(team)})
    ] == [called(team)]


def put_new_version(site: Site, code: str) -> None:
    (site.root / "mlflow_tracking_server" / "mlflow_server" / "release.py").open("a").write(code)


def test_two_at_once_make_one_server(fresh: Site, client: docker.DockerClient) -> None:
    both = [fresh.start("server", "up") for _ in range(2)]
    assert {process.communicate(timeout=300)[0] for process in both} == {"http://127.0.0.1:5460\n"}
    assert len(client.containers.list(all=True, filters={"name": called(fresh)})) == 1


def test_what_a_process_kept_is_taken_over(fresh: Site) -> None:
    kept = ok(fresh.trainer("run", "probe")).run_id
    assert "process" in fresh.trainer("server", "status").out
    with socket.create_server(("127.0.0.1", 5461)):
        ok(fresh.trainer("server", "up"))
    assert runs(fresh) == [kept]
    assert Path(api(fresh).download_artifacts(kept, "train.log")).read_text()
    assert (fresh.root / "mlruns" / "mlflow.db").exists()
    assert "is a container" in fresh.trainer("server", "up", "--process").err
    # A command on that run goes to the container.
    ok(fresh.trainer("runs", "tag", "@last", "stage=candidate"))
    (run_id,) = runs(fresh)
    assert api(fresh).get_run(run_id).data.tags["stage"] == "candidate"


def _is_nothing_of_it(client: docker.DockerClient, site: Site) -> bool:
    return not (
        client.containers.list(all=True, filters={"name": called(site)})
        or client.networks.list(names=[called(site)])
        or client.volumes.list(filters={"name": called(site)})
    )


def test_while_a_run_reports_to_the_process_nothing_of_a_container_is_made(
    fresh: Site, client: docker.DockerClient
) -> None:
    before = (fresh.root / "secrets.env").read_bytes()
    run = ok(fresh.trainer("run", "probe", "--mode", "nap", "--detach")).run_id
    refused = fresh.trainer("server", "up")
    assert refused.code == 2
    assert refused.error[0].startswith("Error: 1 live run reports to this server: ")
    assert (fresh.root / "secrets.env").read_bytes() == before
    assert _is_nothing_of_it(client, fresh)
    assert run[:8] in ok(fresh.trainer("ps")).out
    ok(fresh.trainer("attach", run))
    assert "FINISHED" in ok(fresh.trainer("show", run)).out


def test_what_was_made_of_a_container_is_taken_back_when_a_run_begins_in_between(
    fresh: Site, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok(fresh.trainer("run", "probe"))
    before = (fresh.root / "secrets.env").read_bytes()

    def refuse(_: settings.Workspace) -> None:
        if client.containers.list(all=True, filters={"name": called(fresh)}):
            raise InvalidInput("1 live run reports to this server: late.", "Wait.")

    monkeypatch.setattr(live_runs, "refuse", refuse)
    with pytest.raises(InvalidInput, match="late"):
        service.up(settings.find(fresh.root), MagicMock())
    assert (fresh.root / "secrets.env").read_bytes() == before
    assert _is_nothing_of_it(client, fresh)


def test_the_store_of_a_process_is_saved_and_restored_too(fresh: Site, tmp_path: Path) -> None:
    ok(fresh.trainer("server", "up", "--process"))
    first = ok(fresh.trainer("run", "probe")).run_id
    file = tmp_path / "saved.tar"
    ok(fresh.trainer("server", "backup", str(file)))
    ok(fresh.trainer("run", "probe"))
    ok(fresh.trainer("server", "restore", str(file)))
    assert [run.info.run_id for run in fresh.runs()] == [first]


def test_another_server_in_secrets_env_is_not_replaced_unasked(
    fresh: Site, client: docker.DockerClient
) -> None:
    workspace = settings.find(fresh.root)
    secrets.store(
        workspace, {"MLFLOW_TRACKING_URI": "https://team.example", "MLFLOW_TRACKING_PASSWORD": "of-the-team"}
    )
    before = (fresh.root / "secrets.env").read_bytes()
    done = fresh.trainer("server", "up")
    assert done.code == 2
    assert "runs report to https://team.example" in done.err
    assert (fresh.root / "secrets.env").read_bytes() == before
    assert not client.containers.list(all=True, filters={"name": called(fresh)})
    secrets.store(workspace, {"MLFLOW_TRACKING_URI": None})
    with (fresh.root / "trainer.yaml").open("a") as file:
        file.write("tracking_uri: https://team.example\n")
    before = (fresh.root / "secrets.env").read_bytes()
    done = fresh.trainer("server", "up")
    assert (done.code, done.error[0]) == (
        2, "Error: trainer.yaml says that runs report to https://team.example."
    )  # fmt: skip
    assert (fresh.root / "secrets.env").read_bytes() == before
    assert not client.containers.list(all=True, filters={"name": called(fresh)})


def test_secrets_that_git_would_commit_are_not_made(fresh: Site, client: docker.DockerClient) -> None:
    (fresh.root / "secrets.env").unlink()
    (fresh.root / ".gitignore").write_text(".trainer/\n")
    done = fresh.trainer("server", "up")
    assert done.code == 81
    assert not (fresh.root / "secrets.env").exists()
    assert not client.containers.list(all=True, filters={"name": called(fresh)})


@pytest.mark.parametrize(
    "command", [["server", "up"], ["server", "status"], ["run", "probe", "--backend", "local"], ["ui"]]
)
def test_without_an_engine_the_container_is_not_forgotten(team: Site, command: list[str]) -> None:
    done = team.trainer(*command, env={"DOCKER_HOST": "unix:///no/such/engine.sock"})
    assert done.code == 82
    assert "No Docker engine answers" in done.err
    assert not (team.root / "mlruns").exists()


def dumped(address: str, profile: Path) -> str:
    """The document that a browser has of an address."""
    return subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom", address],
        capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip


def test_the_browser_comes_to_the_experiments_logged_in(team: Site, tmp_path: Path) -> None:
    opener = tmp_path / "xdg-open"
    opener.write_text(f'#!/bin/sh\nprintf "%s" "$*" >{tmp_path}/argv\n')
    opener.chmod(0o755)
    ok(team.trainer("ui", "--browser", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}))
    deadline = time.monotonic() + 10
    while not (tmp_path / "argv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    address = (tmp_path / "argv").read_text()
    page = Path(address.removeprefix("file://"))
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    values = known(team)
    assert values["MLFLOW_TRACKING_PASSWORD"] not in address
    # On a busy machine its virtual time is over before the server has answered, and the document is empty.
    deadline = time.monotonic() + 90
    while not (shown := dumped(address, tmp_path / "profile")).strip():
        assert time.monotonic() < deadline, "the page stays empty"
    assert values["MLFLOW_TRACKING_USERNAME"] in shown
    assert "/experiments/1" in shown
    # Neither does the browser's history keep it.
    kept = [path for path in (tmp_path / "profile").rglob("*") if path.is_file()]
    assert not [path for path in kept if values["MLFLOW_TRACKING_PASSWORD"].encode() in path.read_bytes()]
