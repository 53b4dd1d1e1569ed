"""`trainer build-image serve --model`: an image that a model is in, run without trainer."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Iterator

import docker
import pytest
import requests
from docker.models.containers import Container
from support import Site
from unit.model_server import served

TOKEN = "0123456789abcdef-of-the-tests"
TAG = "trainer-tests-baked:1"


@pytest.fixture(scope="module")
def shop(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace with a model, which is in an image."""
    shop = Site(tmp_path_factory.mktemp("bakery") / "bakery", port=5457)
    served.churn(shop.root / "churn.onnx")
    done = shop.trainer("build-image", "serve", "--model", "churn.onnx", "--tag", TAG)
    assert done.code == 0, done.err
    own, also = (line.split()[0] for line in done.out.splitlines())
    assert also == TAG
    assert f"docker push {TAG}\n" in done.err
    assert f"docker run -p 8080:8080 -e MODEL_SERVER_TOKEN {TAG}\n" in done.err  # not its value
    yield shop
    for tag in (own, TAG):
        client.images.remove(tag)


@contextlib.contextmanager
def running(
    client: docker.DockerClient, port: int = 8080, **options: object
) -> Iterator[tuple[str, Container]]:
    """As `docker run --publish` does it."""
    container = client.containers.run(  # type: ignore[call-overload]
        TAG, detach=True, ports={f"{port}/tcp": ("127.0.0.1", None)}, **options
    )
    try:
        container.reload()
        address = f"http://127.0.0.1:{container.ports[f'{port}/tcp'][0]['HostPort']}"
        for _ in range(300):
            with contextlib.suppress(requests.RequestException):
                requests.get(f"{address}/health", timeout=5)
                break
            time.sleep(0.1)
        yield address, container
    finally:
        container.remove(force=True)


@pytest.mark.usefixtures("shop")
def test_without_a_token_it_tells_what_to_set(client: docker.DockerClient) -> None:
    container = client.containers.run(TAG, detach=True)
    try:
        assert container.wait()["StatusCode"] == 1
        said = container.logs().decode().splitlines()
    finally:
        container.remove()
    assert said == [
        "Error: Without a token the server listens on loopback alone, not on 0.0.0.0.",
        "Hint:  Set MODEL_SERVER_TOKEN, or MODEL_SERVER_TOKEN_FILE to a file with it.",
    ]


@pytest.mark.usefixtures("shop")
def test_with_a_token_any_user_runs_it_at_the_platforms_port(client: docker.DockerClient) -> None:
    options = {"user": "45123:45123", "read_only": True, "cap_drop": ["ALL"]}
    environment = {"MODEL_SERVER_TOKEN": TOKEN, "PORT": "5111"}
    with running(client, 5111, environment=environment, **options) as (address, container):
        assert requests.post(f"{address}/predict", json=served.YES, timeout=10).status_code == 401
        headers = {"Authorization": f"Bearer {TOKEN}"}
        said = requests.post(f"{address}/predict", json=served.YES, headers=headers, timeout=10).json()
        assert (said["model"]["name"], said["predictions"][0]["class"]) == ("churn", "yes")
        assert container.exec_run(["python", "-m", "model_server.healthy"]).exit_code == 0
        assert container.exec_run(["python", "-c", "open('/model/model.onnx', 'ab')"]).exit_code == 1
        assert TOKEN.encode() not in container.logs()


@pytest.mark.usefixtures("shop")
def test_on_loopback_it_does_without_a_token(client: docker.DockerClient) -> None:
    with running(client, command=["--published-on-loopback"]) as (address, container):
        said = requests.post(f"{address}/predict", json=served.YES, timeout=10).json()
        assert said["predictions"][0]["class"] == "yes"
        refused = requests.get(f"{address}/version", headers={"Host": "evil.example"}, timeout=10)
        assert refused.status_code == 403
        for _ in range(150):
            container.reload()
            if container.health != "starting":
                break
            time.sleep(0.1)
        assert container.health == "healthy"


def test_it_has_the_model_and_its_labels_and_nothing_else(shop: Site, client: docker.DockerClient) -> None:
    attrs = client.images.get(TAG).attrs
    labels = attrs["Config"]["Labels"]
    sha256 = hashlib.sha256((shop.root / "churn.onnx").read_bytes()).hexdigest()
    assert labels["trainer.model.sha256"] == sha256
    assert (labels["trainer.model"], labels["trainer.model.source"]) == ("churn", "runs:/0123abcd")
    assert attrs["Config"]["User"] == "65534:65534"
    base = client.images.get(labels["org.opencontainers.image.base.name"]).attrs
    assert attrs["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"]
    secrets = [line.partition("=")[2] for line in (shop.root / "secrets.env").read_text().splitlines()]
    said = json.dumps([attrs, client.images.get(TAG).history()])
    assert not [secret for secret in secrets if secret and secret in said]
    assert str(shop.root) not in said
    container = client.containers.create(TAG)
    try:
        archive, _ = container.get_archive("/model")
        with tarfile.open(fileobj=io.BytesIO(b"".join(archive))) as tar:
            found = [(each.name, each.mode, each.uid, each.mtime) for each in tar]
    finally:
        container.remove()
    assert found == [
        ("model", 0o755, 0, 315532800),
        *((f"model/{name}", 0o444, 0, 315532800) for name in ("model.onnx", "serving.json")),
    ]


def test_the_same_model_is_the_same_image(shop: Site, client: docker.DockerClient) -> None:
    done = shop.trainer("build-image", "serve", "--model", "churn.onnx", "--json")
    [again] = json.loads(done.out)
    assert (again["id"], again["built"]) == (client.images.get(TAG).id, False)
    checked = shop.trainer("build-image", "serve", "--model", "churn.onnx", "--check-reproducible")
    assert checked.code == 0, checked.err
    assert checked.out.splitlines()[0].startswith("serve-churn: two builds are one image, bit for bit: ")
    assert checked.out.splitlines()[1] == "The image that is there is the same"
