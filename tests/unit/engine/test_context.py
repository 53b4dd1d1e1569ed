import hashlib
import json
from pathlib import Path

import pytest
from trainer.engine import context as docker_context
from trainer.engine import daemon
from trainer.engine.context import Endpoint, Tls
from trainer.errors import EngineError

from unit.helpers import fails, put

FAR = "tcp://far.example.com:2376"


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `docker`'s configuration; no variable names an engine."""
    monkeypatch.delenv("DOCKER_HOST")
    return Path.home() / ".docker"


def context(config: Path, name: str, certificates: tuple[str, ...] = (), **said: object) -> Path:
    """Make a context as `docker context create` does; the folder of its certificates."""
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": FAR, **said}}}
    put(config / "contexts" / "meta" / key / "meta.json", json.dumps(meta))
    path = config / "contexts" / "tls" / key / "docker"
    for certificate in certificates:
        put(path / f"{certificate}.pem")
    return path


def test_without_any_word_it_is_the_local_socket() -> None:
    assert docker_context.current() == Endpoint("unix:///var/run/docker.sock")


def test_a_context_is_honoured_without_a_config_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context(config, "far")
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    assert docker_context.current() == Endpoint(FAR)
    assert daemon.endpoint() == FAR


def test_the_first_that_names_an_engine_is_heeded(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("chosen", "far"):
        context(config, name, Host=f"ssh://{name}")
    put(config / "config.json", json.dumps({"currentContext": "chosen"}))
    assert docker_context.current() == Endpoint("ssh://chosen")
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    assert docker_context.current() == Endpoint("ssh://far")
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert docker_context.current() == Endpoint("unix:///var/run/docker.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    monkeypatch.setenv("DOCKER_HOST", "unix:///mine.sock")
    assert docker_context.current() == Endpoint("unix:///mine.sock")


def test_the_configuration_may_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context(tmp_path, "far")
    put(tmp_path / "config.json", json.dumps({"currentContext": "far"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert docker_context.current() == Endpoint(FAR)


@pytest.mark.parametrize("skip", [True, False])
def test_a_context_brings_its_certificates(config: Path, monkeypatch: pytest.MonkeyPatch, skip: bool) -> None:
    place = context(config, "far", ("ca", "cert", "key"), SkipTLSVerify=skip)
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    tls = Tls(place / "ca.pem", place / "cert.pem", place / "key.pem", verify=not skip)
    assert docker_context.current() == Endpoint(FAR, tls)


@pytest.mark.parametrize(("variable", "verify"), [("DOCKER_TLS_VERIFY", True), ("DOCKER_TLS", False)])
def test_variables_ask_for_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, verify: bool
) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    with fails(
        EngineError,
        f"{variable} asks for TLS, but there is no {tmp_path}/ca.pem.",
        "Specify the folder of ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH.",
    ):
        docker_context.current()
    ca = put(tmp_path / "ca.pem")
    tls = Tls(ca, None, None, verify=verify)
    assert docker_context.current() == Endpoint("tcp://localhost:2376", tls)
    monkeypatch.setenv("DOCKER_HOST", "far")
    assert docker_context.current() == Endpoint("tcp://far:2376", tls)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("tcp://far", "tcp://far:2375"),
        ("far:1234", "tcp://far:1234"),
        (":1234", "tcp://localhost:1234"),
        ("tcp://[fd00::1]", "tcp://[fd00::1]:2375"),
        ("ssh://me@far", "ssh://me@far"),
        ("unix:///a/b.sock", "unix:///a/b.sock"),
    ],
)
def test_what_may_be_left_out_of_an_address(said: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", said)
    assert daemon.endpoint() == meant


def test_a_context_that_is_not_there_is_not_the_local_engine(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hint = "Specify one of `docker context ls`: docker context use NAME, or DOCKER_CONTEXT=NAME"
    path = put(config / "config.json", json.dumps({"currentContext": "gone"}))
    with fails(EngineError, f"There is no Docker context gone, which {path} names.", hint):
        daemon.connect()
    monkeypatch.setenv("DOCKER_CONTEXT", "lost")
    with fails(EngineError, "There is no Docker context lost, which DOCKER_CONTEXT names.", hint):
        daemon.connect()


@pytest.mark.parametrize("said", ["{", "[]", "{}", '{"Endpoints": {"docker": {}}}'])
def test_a_context_that_is_damaged_is_not_the_local_engine(
    config: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    context(config, "far")
    (meta,) = config.rglob("meta.json")
    meta.write_text(said)
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    with fails(EngineError, f"The Docker context far, which DOCKER_CONTEXT names, cannot be read: {meta}"):
        daemon.connect()
