"""A tracking server behind an authority of one's own, or behind a proxy: a run gets there as well."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest
from mlflow import MlflowClient
from support import Site
from tracking_server import containers
from trainer.tracking.endpoint import CONTAINER_HOST

from faults.conftest import encrypted, forwarded, listening, mlflow_server

BEHIND = "https://mlflow.behind.invalid"  # a name that no name server knows: the proxy alone gets there
NAMES = f"DNS:mlflow.behind.invalid,DNS:{CONTAINER_HOST},DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Guarded:
    """A server that speaks TLS, with a certificate of an authority that nobody knows."""

    uri: str
    authority: Path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A stock server."""
    path = tmp_path_factory.mktemp("mlflow") / "server"
    with mlflow_server(path, containers.free_port(), "--allowed-hosts", "*") as uri:
        yield uri


@pytest.fixture(scope="module")
def guarded(plain: str, gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The same over TLS, where containers reach it."""
    path = tmp_path_factory.mktemp("tls")
    _openssl(path, "req -x509 -newkey rsa:2048 -nodes -keyout ca-key.pem -out ca.pem -subj /CN=authority")
    _openssl(path, "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=server")
    (path / "names").write_text(f"subjectAltName={NAMES}\n")
    _openssl(
        path, "x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out cert.pem "
        "-extfile names"
    )  # fmt: skip
    both = path / "both.pem"
    both.write_text((path / "key.pem").read_text() + (path / "cert.pem").read_text())
    serve = encrypted(both, forwarded(int(plain.rpartition(":")[2])))
    with listening("127.0.0.1", 0, serve) as port, listening(gateway, port, serve):
        yield Guarded(f"https://127.0.0.1:{port}", path / "ca.pem")


def _openssl(place: Path, step: str) -> None:
    subprocess.run(["openssl", *step.split()], cwd=place, check=True, capture_output=True)


def finished(client: MlflowClient, run_id: str) -> bool:
    run = client.get_run(run_id)
    paths = {file.path for file in client.list_artifacts(run_id)}
    return (run.info.status, run.data.metrics, "train.log" in paths) == ("FINISHED", {"answer": 42}, True)


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE"])
def test_an_authority_of_ones_own_reaches_the_run(
    site: Site, plain: str, guarded: Guarded, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    refused = site.trainer("run", "probe", "--tracking-uri", guarded.uri)
    assert refused.code == 84
    assert "is not accepted" in refused.err
    done = site.trainer("run", "probe", "--tracking-uri", guarded.uri, env={variable: str(guarded.authority)})
    assert (done.code, "on this disk alone" in done.err) == (0, False), done.err
    assert finished(MlflowClient(plain), done.run_id)


def test_insecure_tls_in_secrets_env_holds_for_the_run(
    site: Site, plain: str, guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    path = site.root / "secrets.env"
    before = path.read_text()
    path.write_text(f"{before}MLFLOW_TRACKING_INSECURE_TLS=true\n")
    try:
        done = site.trainer("run", "probe", "--tracking-uri", guarded.uri)
    finally:
        path.write_text(before)
    assert (done.code, "on this disk alone" in done.err) == (0, False), done.err
    assert finished(MlflowClient(plain), done.run_id)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": "/no/such/ca.pem"}, "which cannot be read: No such file"),
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": "/dev/null", "MLFLOW_TRACKING_INSECURE_TLS": "1"},
         "are both set"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_reported_before_there_is_a_run(
    site: Site, guarded: Guarded, variables: dict[str, str], said: str
) -> None:
    done = site.trainer("run", "probe", "--tracking-uri", guarded.uri, env=variables)
    assert (done.code, said in done.err, len(done.error)) == (2, True, 2), done.err


@dataclass
class Proxy:
    """An HTTP proxy; `asked` are the hosts that it was asked for."""

    port: int = 0
    asked: list[str] = field(default_factory=list)


@contextmanager
def proxying(gateway: str, behind: str) -> Iterator[Proxy]:
    """Within: a proxy on this machine and where containers reach it, behind which there is one server."""
    proxy = Proxy()
    port = int(behind.rpartition(":")[2])

    def serve(connection: socket.socket) -> None:
        head = connection.recv(65536)
        proxy.asked.append(head.split()[1].decode())
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        forwarded(port)(connection)

    with listening(gateway, 0, serve) as proxy.port:
        yield proxy


def test_a_proxy_reaches_the_run_and_its_password_nobody(
    site: Site, plain: str, guarded: Guarded, gateway: str, client: docker.DockerClient
) -> None:
    with proxying(gateway, guarded.uri) as proxy:
        address = f"http://me:canary-proxy-pw@{gateway}:{proxy.port}"
        env = {"HTTPS_PROXY": address, "MLFLOW_TRACKING_SERVER_CERT_PATH": str(guarded.authority)}
        before = set(site.leftovers())
        run = site.start("run", "probe", "--mode", "nap", "--tracking-uri", BEHIND, env=env)
        assert run.stdout
        assert "ready" in map(str.strip, run.stdout), run.communicate()
        [run_id] = set(site.leftovers()) - before
        inspected = json.dumps(client.containers.get(f"trainer-{run_id}").attrs)
        _, said = run.communicate(timeout=120)
        assert (run.returncode, "on this disk alone" in said) == (0, False), said
        done = site.trainer("run", "probe", "--tracking-uri", BEHIND, env=env)  # which logs as well
    assert "canary-proxy-pw" not in inspected
    assert done.code == 0, done.err
    assert finished(MlflowClient(plain), done.run_id)
    assert set(proxy.asked) == {"mlflow.behind.invalid:443"}


def test_a_proxy_on_localhost_is_not_passed_on_and_that_is_reported(site: Site) -> None:
    done = site.trainer("run", "probe", env={"HTTPS_PROXY": "http://127.0.0.1:3128"})
    assert done.code == 0, done.err
    assert "HTTPS_PROXY names a proxy on this machine's localhost." in done.err


def test_a_proxy_does_not_keep_a_run_from_the_server_of_this_machine(site: Site) -> None:
    nowhere = {"HTTP_PROXY": "http://192.0.2.1:3128", "HTTPS_PROXY": "http://192.0.2.1:3128"}
    done = site.trainer("run", "probe", env=nowhere)
    assert (done.code, "on this disk alone" in done.err) == (0, False), done.err
    assert site.run(done.run_id).data.metrics == {"answer": 42}
