"""Whatever would spoil a run is said before it exists: within 10 s, with the cause, in two lines."""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support import Site
from unit.helpers import HttpServer, Reply
from unit.tracking.test_client import CERTIFICATE

from faults.conftest import encrypted, forwarded, hang, listening, mlflow_server, trickle

PORT = 5720
INSIDE = "From inside a container:"


def refused(
    site: Site, *arguments: str, env: Mapping[str, str] | None = None, project: str = "probe"
) -> tuple[int, str, str]:
    """`trainer run`, which is refused in time: exit code, error and hint. No run was made."""
    before = {run.info.run_id for run in site.runs()}
    start = time.monotonic()
    done = site.trainer("run", project, *arguments, env=env)
    # What it takes to start the command and to look at the rest comes on top of the 10 s of one check.
    assert time.monotonic() - start < 13, done.err
    assert done.out == ""
    *_, error, hint = done.err.splitlines()  # after what it was doing, where that took a while
    assert error.startswith("Error: ")
    assert hint.startswith("Hint:  ")
    assert {run.info.run_id for run in site.runs()} == before
    assert site.leftovers() == []
    return done.code, error.removeprefix("Error: "), hint.removeprefix("Hint:  ")


# From the host


def test_nobody_listens(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    assert refused(site, "--tracking-uri", uri) == (
        84,
        f"The tracking server {uri} refuses connections.",
        "Start it, or correct its address: MLFLOW_TRACKING_URI, or tracking_uri in trainer.yaml",
    )


def test_a_host_that_is_not_known(site: Site) -> None:
    assert refused(site, "--tracking-uri", "http://mlflow.invalid:5000") == (
        84,
        "The tracking server's host name mlflow.invalid is not known.",
        "Check the name in the tracking URI.",
    )


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Signed by itself, for 127.0.0.1."""
    path = tmp_path / "certificate.pem"
    path.write_text(CERTIFICATE)
    return path


def test_a_certificate_that_is_not_accepted(site: Site, certificate: Path) -> None:
    with listening("127.0.0.1", 0, encrypted(certificate, hang)) as port:
        uri = f"https://127.0.0.1:{port}"
        assert refused(site, "--tracking-uri", uri) == (
            84,
            f"The certificate of the tracking server {uri} is not accepted: self-signed certificate.",
            "Specify the file of its certificate authority in MLFLOW_TRACKING_SERVER_CERT_PATH.",
        )


def test_https_where_http_is_spoken(site: Site, stub: HttpServer) -> None:
    uri = f"https://127.0.0.1:{stub.port}"
    assert refused(site, "--tracking-uri", uri) == (
        84,
        f"The tracking server {uri} does not speak TLS.",
        "Write its address with http://",
    )


@pytest.mark.parametrize(
    ("status", "code", "message", "hint"),
    [
        (401, 85, "refuses requests without a user name (401).",
         "Log in: trainer server connect {uri}"),
        (403, 85, "refuses requests without a user name (403).",
         "Log in: trainer server connect {uri}"),
        (500, 84, "answered 500: the text of the answer", "See the server's log."),
        (503, 84, "answered 503: the text of the answer",
         "It is unavailable at the moment: run the same command again later."),
    ],
)  # fmt: skip
def test_a_server_that_refuses_or_fails(
    site: Site, stub: HttpServer, status: int, code: int, message: str, hint: str
) -> None:
    stub.replies["*"] = [Reply(status, "the text of the answer")]
    told = refused(site, "--tracking-uri", stub.uri)
    assert told == (code, f"The tracking server {stub.uri} {message}", hint.format(uri=stub.uri))
    assert {asked.path for asked in stub.asked} == {"/version"}


@pytest.mark.parametrize("serve", [hang, trickle])
def test_a_server_that_hangs_or_trickles_costs_ten_seconds_and_not_a_minute(
    site: Site, serve: object
) -> None:
    with listening("127.0.0.1", 0, hang if serve is hang else trickle) as port:
        uri = f"http://127.0.0.1:{port}"
        assert refused(site, "--tracking-uri", uri) == (
            84,
            f"The tracking server {uri} gave no answer in 9 s.",
            "See whether it is up, and whether a firewall lies between.",
        )


# From inside a container


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A stock server that knows localhost alone, not 127.0.0.1 and not host.docker.internal."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow") / "server", PORT, "--allowed-hosts", "localhost:*"):
        yield f"http://localhost:{PORT}"


def test_the_host_check_of_a_real_server(site: Site, mlflow: str, gateway: str) -> None:
    host = f"127.0.0.1:{PORT}"
    assert refused(site, "--tracking-uri", f"http://{host}") == (
        84,
        f"The tracking server http://{host} does not accept requests for {host}.",
        f"Start it with --allowed-hosts {host} (mlflow_tracking_server: ALLOWED_HOSTS={host}).",
    )
    inside = f"host.docker.internal:{PORT}"
    with listening(gateway, PORT, forwarded(PORT)):
        assert refused(site, "--tracking-uri", mlflow) == (
            84,
            f"{INSIDE} The tracking server http://{inside} does not accept requests for {inside}.",
            f"Start it with --allowed-hosts localhost:*,127.0.0.1:*,{inside} "
            f"(mlflow_tracking_server: ALLOWED_HOSTS={inside}).",
        )  # fmt: skip


def listen(gateway: str, port: int) -> str:
    """The way out that opens the server to this machine's containers, and not to the network."""
    return (
        f"Let it listen on the engine's bridge (--host {gateway}), set the tracking URI to "
        f"http://{gateway}:{port}, and let the firewall pass containers."
    )


def test_a_server_that_containers_do_not_reach(site: Site, stub: HttpServer, gateway: str) -> None:
    stub.replies["*"] = [Reply(body="3.17.2")]
    inside = f"http://host.docker.internal:{stub.port}"
    assert refused(site, "--tracking-uri", stub.uri) == (
        84,
        f"{INSIDE} The tracking server {inside} refuses connections.",
        listen(gateway, stub.port),
    )


def test_a_server_on_the_bridge_is_reached_by_containers_and_by_the_host(
    site: Site, gateway: str, tmp_path: Path
) -> None:
    with mlflow_server(tmp_path / "server", PORT + 1, host=gateway) as uri:
        done = site.trainer("run", "probe", "-e", "quick", "--tracking-uri", uri)
        assert done.code == 0, done.err
        listed = site.trainer("runs", env={"MLFLOW_TRACKING_URI": uri})
        assert (listed.code, listed.out.count("FINISHED")) == (0, 1), listed.err


def test_a_server_that_does_not_answer_containers(site: Site, stub: HttpServer, gateway: str) -> None:
    stub.replies["*"] = [Reply(body="3.17.2")]
    inside = f"http://host.docker.internal:{stub.port}"
    with listening(gateway, stub.port, trickle):
        told = refused(site, "--tracking-uri", stub.uri)
    assert told == (
        84,
        f"{INSIDE} The tracking server {inside} gave no answer in 8 s.",
        listen(gateway, stub.port),
    )


def test_a_certificate_that_the_image_does_not_accept(
    site: Site, stub: HttpServer, certificate: Path, gateway: str
) -> None:
    stub.replies["*"] = [Reply(body="3.17.2")]
    serve = encrypted(certificate, forwarded(stub.port))
    with listening("127.0.0.1", 0, serve) as port, listening(gateway, port, serve):
        trusting = {"REQUESTS_CA_BUNDLE": str(certificate)}
        code, error, hint = refused(site, "--tracking-uri", f"https://127.0.0.1:{port}", env=trusting)
    assert code == 84
    assert error.startswith(
        f"{INSIDE} The certificate of the tracking server https://host.docker.internal:{port} "
        "is not accepted: "
    )
    assert hint.endswith("The certificate has to be for the name by which containers ask.")


def test_what_went_well_is_not_asked_again_for_an_hour(site: Site) -> None:
    def proof() -> tuple[str, int]:
        assert site.trainer("run", "probe", "-e", "quick").code == 0
        (path,) = (site.root / ".trainer" / "reached").iterdir()
        return path.name, path.stat().st_mtime_ns

    first = proof()
    assert proof() == first
    shutil.rmtree(site.root / ".trainer" / "reached")
    again = proof()
    assert again[0] == first[0]
    assert again[1] > first[1]


# The engine, the disk, the secrets, the data


def test_an_engine_that_is_not_there(site: Site) -> None:
    socket_ = "unix:///no/such/engine.sock"
    assert refused(site, env={"DOCKER_HOST": socket_})[:2] == (
        82,
        f"No Docker engine answers at {socket_}.",
    )


def test_an_engine_that_hangs(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert refused(site, env={"DOCKER_HOST": f"unix://{path}"}) == (
            82,
            f"The Docker engine at unix://{path} gave no answer in 9 s.",
            "Restart it, or run without one: --backend local",
        )


@contextlib.contextmanager
def settings(site: Site, text: str) -> Iterator[None]:
    path = site.root / "trainer.yaml"
    before = path.read_text()
    path.write_text(before + text)
    try:
        yield
    finally:
        path.write_text(before)


def test_a_disk_that_is_too_full(site: Site) -> None:
    with settings(site, "disk_free_gb: 1000000\n"):
        code, error, _ = refused(site)
    assert code == 89
    assert error.startswith("Only ")
    assert error.endswith("a run wants 1000000 GB at least.")


def test_a_secret_that_is_not_set_too_large_or_could_leak(site: Site) -> None:
    path = site.root / "secrets.env"
    text = path.read_text()
    path.write_text("")
    try:
        assert refused(site)[:2] == (2, "probe needs the variable PROBE_TOKEN, which is not set.")
        path.write_text(f"PROBE_TOKEN={'x' * 3_000_000}\n")
        code, error, _ = refused(site)
        assert (code, error.partition(";")[0]) == (2, "The secret PROBE_TOKEN has 3,000,012 bytes")
        path.write_text(text)
        path.chmod(0o644)
        assert refused(site)[:2] == (81, f"Other users of this machine can read {path}.")
    finally:
        path.write_text(text)
        path.chmod(0o600)


def test_a_dataset_that_is_empty_or_not_there(site: Site) -> None:
    project = site.root / "train_code" / "eating"
    project.mkdir()
    (project / "MLproject").write_text(
        "name: eating\ndocker_env: {image: trainer/sklearn}\nentry_points:\n  main:\n    parameters:\n"
        "      data: {type: string, default: pictures, dataset: true}\n    command: echo {data}\n"
    )
    path = site.root / "data" / "pictures"
    assert refused(site, project="eating")[:2] == (
        2,
        f"--data names pictures, which is not in {site.root / 'data'}.",
    )
    path.mkdir()
    try:
        assert refused(site, project="eating")[:2] == (2, f"--data names {path}, which is empty.")
    finally:
        path.rmdir()
