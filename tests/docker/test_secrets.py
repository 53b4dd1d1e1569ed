"""A canary among the secrets: the script gets it, and nobody else does."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import requests
from support import CANARY, Site
from trainer.engine import daemon

PASSWORD = "canary-password-%41-'\"-9d2c"


def test_the_canary_is_nowhere(site: Site, client: docker.DockerClient, tmp_path: Path) -> None:
    process = site.start("-vv", "run", "probe", "--mode", "secret")
    seen: list[bytes] = []
    inspected, log = "", b""
    while process.poll() is None:
        log = b"".join(_content(file) for file in site.root.glob(".trainer/runs/*/trainer.log")) or log
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(place.read_bytes())
            except OSError:
                continue
        for container in client.containers.list(
            all=True, filters={"label": "trainer.run_id"}, ignore_removed=True
        ):
            inspected += json.dumps(container.attrs)
        time.sleep(0.05)
    out, err = process.communicate()
    assert process.returncode == 0, err
    run = site.runs()[0]
    assert "the token is ***" in out  # it did reach the script
    assert inspected  # the container was looked at while it was there
    assert f'"trainer.run_id": "{run.info.run_id}"' in inspected
    for written in (err, log.decode()):
        assert f"trainer.runs.launch: Run {run.info.run_id} is on http://" in written
        assert re.search(r"trainer\.engine\.daemon: POST /v[\d.]+/containers/create: 201, \d+ ms", written)
    assert '"trainer.workspace": "' in inspected
    image = run.data.tags["trainer.image"]
    places = {
        "stdout and stderr": (out + err).encode(),
        "argument vectors": b"\n".join(seen),
        "docker inspect of the container": inspected.encode(),
        "docker inspect of the image": json.dumps(client.api.inspect_image(image)).encode(),
        "docker history": json.dumps(client.api.history(image)).encode(),
        "tags, parameters and metrics": json.dumps(run.to_dictionary()).encode(),
        "train.log": site.log(run.info.run_id, tmp_path).encode(),
        "code archive": _unpacked(site.artifact(run.info.run_id, "trainer/source.tar.gz", tmp_path)),
        "layers of the image": b"".join(client.images.get(image).save()),
        "the log of the launch": log,
        "what trainer keeps": _contents(site.root / ".trainer"),
        "what the server keeps": _contents(site.root / "mlruns"),
    }  # fmt: skip
    needles = [CANARY.encode(), base64.b64encode(CANARY.encode())[:-4], json.dumps(CANARY)[1:-1].encode()]
    assert [name for name, content in places.items() if any(needle in content for needle in needles)] == []


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:  # the run has just been delivered
        return b""


def _contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def _unpacked(archive: Path) -> bytes:
    with tarfile.open(archive) as tar:
        files = [tar.extractfile(entry) for entry in tar if entry.isfile()]
        return b"".join(file.read() for file in files if isinstance(file, io.BufferedReader))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("The parameter mode", ["--mode", CANARY]),
        ("--run-name", ["--run-name", f"try {CANARY}"]),
        ("--experiment", ["--experiment", CANARY]),
        ("--tag", ["--tag", f"leak={base64.b64encode(CANARY.encode()).decode()}"]),
    ],
)
def test_a_secret_in_the_words_of_the_command_goes_nowhere(site: Site, place: str, words: list[str]) -> None:
    before = len(site.runs())
    done = site.trainer("run", "probe", *words)
    assert done.code == 2
    assert done.err.splitlines()[-2:] == [
        f"Error: {place} holds the value of the secret PROBE_TOKEN, and is stored with the run.",
        "Hint:  A script reads a secret with os.environ['PROBE_TOKEN'], if the MLproject has PROBE_TOKEN "
        "under docker_env.environment. A value that is not a secret belongs there too, as [NAME, value], "
        "and not in secrets.env.",
    ]
    assert len(site.runs()) == before
    beginning = CANARY.partition("%")[0].encode()
    assert beginning not in _contents(site.root / ".trainer") + _contents(site.root / "mlruns")


PRINTING = """
name: printing
docker_env: {image: trainer/sklearn, environment: [SSH_KEY, ACCOUNT]}
entry_points:
  main:
    parameters: {note: {default: "it's \\"bWFkZS11cC\\"-%s"}}
    command: python show.py {note}
"""
SHOW = """
import base64, json, os, urllib.parse
key, account = os.environ["SSH_KEY"], os.environ["ACCOUNT"]
print("whole:", key)
print("repr:", repr(key), repr({"key": key}), key.encode())
print("one line:", key.splitlines()[1])
print("json:", json.dumps({"key": key, "account": account}))
print("base64:", base64.b64encode(b"user:" + key.encode()).decode())
print(base64.encodebytes(key.encode()).decode())
print("url:", urllib.parse.urlencode({"key": key}))
print("a text of it:", json.loads(account)["private_key"])
"""


def test_no_form_of_a_secret_of_several_lines_is_seen(site: Site, tmp_path: Path) -> None:
    """As in credentials-binding-plugin#92 of Jenkins: the lines, the notations, and what a default holds."""
    lines = [f"bWFkZS11cC1saW5l+{number}/1vZi1hLWtleQ==" for number in range(3)]
    key = "\n".join(["-----BEGIN KEY-----", *lines, "-----END KEY-----", ""])
    note = 'it\'s "bWFkZS11cC"-%s'
    project = site.root / "train_code" / "printing"
    project.mkdir()
    (project / "MLproject").write_text(PRINTING)
    (project / "show.py").write_text(SHOW)
    account = json.dumps({"type": "service_account", "private_key": key, "note": note}, indent=1)
    done = site.trainer("run", "printing", env={"SSH_KEY": key, "ACCOUNT": account})
    assert done.code == 0, done.err
    run = site.run(done.run_id)
    assert run.data.tags["mlflow.trainer.command"] == "python show.py '***'"
    log = site.log(done.run_id, tmp_path)
    assert [line for line in log.splitlines() if line.startswith("one line:")] == ["one line: ***"]
    pieces = [
        needle
        for line in (lines[1], note)
        for needle in (line[:12], base64.b64encode(line.encode())[:16].decode())
    ]
    output = site.artifact(done.run_id, "trainer/run.json", tmp_path).read_text()
    for place in (done.out, done.err, log, json.dumps(run.to_dictionary()), output.partition('"command"')[2]):
        assert [needle for needle in pieces if needle in place] == []


def test_debug_output_shows_no_secret(site: Site) -> None:
    done = site.trainer("--debug", "run", "probe", "--mode", "metric", "--memory", CANARY)
    assert done.code == 2
    assert "Traceback" in done.err
    assert CANARY not in done.err


def test_a_secrets_file_that_others_can_read_is_refused(site: Site) -> None:
    path = site.root / "secrets.env"
    path.chmod(0o644)
    before = len(site.runs())
    try:
        done = site.trainer("run", "probe")
    finally:
        path.chmod(0o600)
    assert done.code == 81
    assert done.err.splitlines()[-2:] == [
        f"Error: Other users of this machine can read {path}.",
        f"Hint:  chmod 600 {path}",
    ]
    assert len(site.runs()) == before


@dataclass(frozen=True)
class Guarded:
    """MLflow's own server with passwords, where host and containers reach it."""

    uri: str
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def guarded(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """`mlflow server --app-name basic-auth` with one administrator."""
    folder = tmp_path_factory.mktemp("guarded")
    bridge = daemon.bridge(client)
    assert bridge
    ini = folder / "auth.ini"
    ini.write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{folder}/auth.db\nauthorization_function = "
        "mlflow.server.auth:authenticate_request_basic_auth\n"
        "admin_username = teamlead\nadmin_password = not-used-here-at-all\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1",
         "--host", bridge.gateway, "--port", "5390", "--allowed-hosts", f"{bridge.gateway}:*",
         "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder)],
        cwd=folder, start_new_session=True, stdout=(folder / "log").open("wb"), stderr=subprocess.STDOUT,
        env={**os.environ, "MLFLOW_AUTH_CONFIG_PATH": str(ini), "MLFLOW_AUTH_ADMIN_USERNAME": "teamlead",
             "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD, "MLFLOW_FLASK_SERVER_SECRET_KEY": "for-tests-alone",
             "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )  # fmt: skip
    uri = f"http://{bridge.gateway}:5390"
    try:
        _wait_for(uri, process, folder / "log")
        yield Guarded(uri, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def _wait_for(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up and process.poll() is None:
        try:
            if requests.get(f"{uri}/version", auth=("teamlead", PASSWORD), timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-2000:])


def test_the_password_reaches_the_scripts_client_and_nothing_else(site: Site, guarded: Guarded) -> None:
    credentials = {"MLFLOW_TRACKING_USERNAME": "teamlead", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    done = site.trainer("run", "probe", "--tracking-uri", guarded.uri, env=credentials)
    assert done.code == 0, done.err
    assert "answer  42" in done.out  # the script logged it, with the password
    assert PASSWORD not in done.out + done.err
    assert f"{guarded.uri}/#/experiments/" in done.out


def test_a_server_that_refuses_the_password(site: Site, guarded: Guarded) -> None:
    wrong = {"MLFLOW_TRACKING_USERNAME": "teamlead", "MLFLOW_TRACKING_PASSWORD": "wrong"}
    done = site.trainer("run", "probe", "--tracking-uri", guarded.uri, env=wrong)
    assert done.code == 85
    assert done.err.splitlines()[-2:] == [
        f"Error: The tracking server {guarded.uri} refuses the user teamlead (401).",
        "Hint:  The password comes from MLFLOW_TRACKING_PASSWORD of the environment: correct it there.",
    ]
    runs = requests.post(
        f"{guarded.uri}/api/2.0/mlflow/runs/search", auth=("teamlead", PASSWORD), timeout=10,
        json={"experiment_ids": ["0", "1"], "filter": "attributes.status = 'RUNNING'"},
    )  # fmt: skip
    assert runs.ok
    assert runs.json().get("runs", []) == []


def test_a_server_that_is_not_there(site: Site) -> None:
    done = site.trainer("run", "probe", "--tracking-uri", "http://127.0.0.1:9")
    assert done.code == 84
    assert done.err.splitlines()[-2:] == [
        "Error: The tracking server http://127.0.0.1:9 refuses connections.",
        "Hint:  Start it, or correct its address: MLFLOW_TRACKING_URI, or tracking_uri in trainer.yaml",
    ]


def test_an_engine_that_is_down(site: Site) -> None:
    before = len(site.runs())
    done = site.trainer("run", "probe", env={"DOCKER_HOST": "unix:///no/such/engine.sock"})
    assert done.code == 82
    assert done.error[0] == "Error: No Docker engine answers at unix:///no/such/engine.sock."
    assert len(site.runs()) == before
