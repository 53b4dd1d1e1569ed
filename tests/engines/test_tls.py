"""An engine that speaks TLS alone, named by variables and by a context, as `docker` finds it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import private_engine
import pytest
from private_engine import Engine
from support import Result, Site

pytestmark = pytest.mark.root
PROJECT = """
name: hello
docker_env: {image: trainer/tiny}
entry_points: {main: {command: "sh -c 'echo hello; id -u'"}}
"""


AUTHORITY = "req -x509 -newkey rsa:2048 -nodes -keyout ca-key.pem -out ca.pem -subj /CN=authority"


@dataclass(frozen=True)
class TlsEngine:
    engine: Engine
    address: str
    certificates: Path


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsEngine]:
    """An engine on a port of a loopback of its own, which wants to see a certificate."""
    private_engine.needs("dockerd", "openssl", "unshare", "nsenter", "ip")
    certificates = tmp_path_factory.mktemp("certificates")
    _certify(certificates)
    address = "tcp://127.0.0.1:2376"
    with private_engine.place_for_one() as place:
        engine = Engine(
            place,
            within=("unshare", "--net", "sh", "-ec", 'ip link set lo up; exec "$@"', "sh"),
            options=[
                *["--host", address, "--tlsverify", f"--tlscacert={certificates}/ca.pem"],
                *[f"--tlscert={certificates}/cert.pem", f"--tlskey={certificates}/key.pem"],
            ],
        )
        engine.start()
        yield TlsEngine(engine, address, certificates)
        engine.close()


def _certify(place: Path) -> None:
    """One authority, and one certificate of it for both sides."""
    (place / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    _openssl(place, AUTHORITY)
    _openssl(place, "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=engine")
    _openssl(
        place,
        "x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out cert.pem -extfile names",
    )


def _openssl(place: Path, step: str) -> None:
    subprocess.run(["openssl", *step.split()], cwd=place, check=True, capture_output=True)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, far: TlsEngine) -> Iterator[Site]:
    """A workspace with a folder data/, whose one image that engine has."""
    path = tmp_path_factory.mktemp("tiny")
    site = private_engine.tiny_site(path / "site", 5745, {"hello": PROJECT})
    (site.root / "data" / "numbers").mkdir()
    (site.root / "data" / "numbers" / "one.csv").write_text("1\n")
    private_engine.import_tiny(far.engine, site, path)
    site.within = ("nsenter", f"--net=/proc/{far.engine.pid}/ns/net")
    yield site
    site.trainer("server", "down", "--force")


def by_variables(far: TlsEngine) -> dict[str, str]:
    return {
        "DOCKER_HOST": far.address,
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(far.certificates),
    }


def by_context(far: TlsEngine, place: Path) -> dict[str, str]:
    """A context with its certificates, and no config.json beside it."""
    env = {"DOCKER_CONFIG": str(place / "docker"), "DOCKER_HOST": ""}
    files = ",".join(f"{name}={far.certificates}/{name}.pem" for name in ("ca", "cert", "key"))
    subprocess.run(
        ["docker", "context", "create", "far", "--docker", f"host={far.address},{files}"],
        env={**os.environ, **env}, check=True, capture_output=True,
    )  # fmt: skip
    assert not (place / "docker" / "config.json").exists()
    return env | {"DOCKER_CONTEXT": "far"}


def engine_check(done: Result) -> dict[str, str]:
    checks: list[dict[str, str]] = json.loads(done.out)
    return next(check for check in checks if check["name"] == "engine")


@pytest.mark.parametrize("named", ["variables", "context"])
def test_a_run_on_an_engine_that_speaks_tls(there: Site, far: TlsEngine, tmp_path: Path, named: str) -> None:
    env = by_variables(far) if named == "variables" else by_context(far, tmp_path)
    said = engine_check(there.trainer("doctor", "--json", env=env))
    assert said["status"] == "ok"
    assert said["found"].endswith(f" at {far.address}")
    done = there.trainer("run", "hello", "--offline", env=env)
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "hello"
    # `docker buildx` goes there too: the base is an image that no other engine has.
    base = far.engine.client().images.list()[0].tags[0]
    built = there.trainer("build-image", "tiny", "--no-cache", "--base-image", base, env=env)
    assert built.code == 83
    error = built.err.splitlines()[-2]  # which that engine alone says
    assert error == "Error: The build of tiny failed: network bridge not found"


def test_certificates_that_are_missing_or_another_ones_are_distinguished_from_an_engine_that_is_gone(
    there: Site, far: TlsEngine, tmp_path: Path
) -> None:
    env = by_variables(far)
    said = engine_check(there.trainer("doctor", "--json", env={"DOCKER_HOST": far.address}))
    assert said["found"] == f"The Docker engine at {far.address} accepts only TLS connections."
    shutil.copytree(far.certificates, tmp_path, dirs_exist_ok=True)
    _openssl(tmp_path, AUTHORITY)
    said = engine_check(there.trainer("doctor", "--json", env={**env, "DOCKER_CERT_PATH": str(tmp_path)}))
    assert said["found"].startswith(f"TLS with the Docker engine at {far.address} fails: certificate verify")
    # Who asks for no verification gets none, and no warning on every call either.
    unverified = {**env, "DOCKER_CERT_PATH": str(tmp_path), "DOCKER_TLS_VERIFY": "", "DOCKER_TLS": "1"}
    done = there.trainer("images", env=unverified)
    assert (done.code, done.err) == (0, "")
