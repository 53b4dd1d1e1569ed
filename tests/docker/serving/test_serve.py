"""`trainer serve`: a model in a container of the image that it is served in."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import numpy as np
import onnx
import pytest
import requests
from support import Site
from trainer.models import version_tags
from trainer.serving import container, image
from trainer.workspace import settings
from trainkit.inference import images
from trainkit.inference.description import Images
from trainkit.inference.predictor import Predictor
from unit.model_server import served

TOKEN = "0123456789abcdef-of-the-tests"


@pytest.fixture(scope="module")
def shop(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace with two models."""
    shop = Site(tmp_path_factory.mktemp("shop") / "shop", port=5456)
    served.colours(shop.root / "colours.onnx")
    served.churn(shop.root / "churn.onnx")
    yield shop
    stopped = shop.trainer("serve", "stop", "--all")
    assert stopped.code == 0, stopped.err
    assert made(client, shop) == []


def made(client: docker.DockerClient, site: Site) -> list[str]:
    """All that the engine has for models of the workspace."""
    label: dict[str, str | list[str] | bool] = {
        "label": f"{container.LABEL}={settings.find(site.root).identity}"
    }
    kinds = (
        client.containers.list(all=True, filters=label, ignore_removed=True),
        client.networks.list(filters=label),
        client.volumes.list(filters=label),
    )
    return sorted(str(each.name) for kind in kinds for each in kind)


def up(site: Site, model: str, *options: str) -> str:
    """Serve it; its address."""
    done = site.trainer("serve", model, "--detach", *options)
    assert done.code == 0, done.err
    return done.out.strip()


@pytest.fixture(scope="module")
def colours(shop: Site) -> str:
    return up(shop, "colours.onnx")


@pytest.mark.usefixtures("colours")
def test_the_image_has_neither_a_shell_nor_a_framework_nor_mlflow(
    shop: Site, client: docker.DockerClient
) -> None:
    tag = image.plan(settings.find(shop.root)).tag
    for program in ("sh", "bash", "apt", "pip", "curl", "perl", "ls"):
        created = client.containers.create(tag, entrypoint=program)
        try:
            with pytest.raises(docker.errors.APIError, match="executable file not found"):
                created.start()
        finally:
            created.remove()
    script = "from importlib.metadata import distributions; print(*[each.name for each in distributions()])"
    installed = client.containers.run(tag, ["-c", script], entrypoint="python", remove=True).decode().split()
    assert {"onnxruntime", "starlette"} <= set(installed)
    assert {"mlflow", "mlflow-skinny", "scikit-learn", "pandas", "torch", "tensorflow-cpu", "pip"}.isdisjoint(
        installed
    )
    assert client.images.get(tag).attrs["Size"] < 400e6


def test_an_image_is_answered_as_on_the_host_by_each_protocol(shop: Site, colours: str) -> None:
    content = served.image((10, 200, 90), kind="JPEG")
    predictor = Predictor.open(shop.root / "colours.onnx")
    taken = predictor.description.input
    assert isinstance(taken, Images)
    values = predictor.answers([images.from_bytes(content, taken)]).values[0]
    [predicted] = requests.post(f"{colours}/predict", files={"image": ("a.jpg", content)}, timeout=10).json()[
        "predictions"
    ]
    assert predicted["class"] == predictor.description.classes[values.argmax()] == "green"
    assert predicted["confidence"] == pytest.approx(values.max(), abs=1e-6)
    text = base64.b64encode(content).decode()
    [invoked] = requests.post(
        f"{colours}/invocations", json={"instances": [text]}, timeout=10
    ).json()["predictions"]  # fmt: skip
    assert np.abs(np.array(invoked) - values).max() < 1e-6
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}
    outputs = requests.post(
        f"{colours}/v2/models/colours/infer", json={"inputs": [tensor]}, timeout=10
    ).json()["outputs"]  # fmt: skip
    assert outputs[0]["data"] == ["green"]
    assert outputs[1]["data"] == pytest.approx([values.max()], abs=1e-6)


def run_in(client: docker.DockerClient, name: str, script: str) -> tuple[int | None, list[str]]:
    code, said = client.containers.get(name).exec_run(["python", "-c", script])
    assert isinstance(said, bytes)
    return code, said.decode().split()


def test_it_has_as_little_as_it_needs(shop: Site, colours: str, client: docker.DockerClient) -> None:
    name = container.called(settings.find(shop.root), "colours")
    attrs = client.containers.get(name).attrs
    host = attrs["HostConfig"]
    assert attrs["Config"]["User"] == f"{os.getuid()}:{os.getgid()}"  # else the log would not be yours
    log = settings.find(shop.root).state / "predictions" / "colours"
    assert sorted(host["Binds"]) == sorted([f"{log}:/log:rw", f"{name}:/model:rw"])
    assert host["ReadonlyRootfs"]
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert host["Memory"] == host["MemorySwap"] == 2 * 1024**3
    assert host["PortBindings"] == {
        "8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": colours.rpartition(":")[2]}]
    }
    assert "canary" not in json.dumps(attrs)  # of secrets.env
    # Nothing but answers leaves it.
    script = (
        "import socket\nfor host in ('192.0.2.1', '8.8.8.8'):\n"
        "  try: socket.create_connection((host, 53), 1)\n"
        "  except OSError: print('no')"
    )
    assert run_in(client, name, script) == (0, ["no", "no"])
    script = "import glob; [open(path, 'ab') for path in glob.glob('/model/*')]"
    assert run_in(client, name, script)[0] == 1
    assert run_in(client, name, "open('/model/more', 'wb')")[0] == 1


def test_what_is_served_is_listed_and_a_name_is_served_once(shop: Site, colours: str) -> None:
    [listed] = json.loads(shop.trainer("serve", "list", "--json").out)
    assert (listed["name"], listed["status"], listed["url"]) == ("colours", "serving", colours)
    again = shop.trainer("serve", "colours.onnx")
    assert again.code == 2
    assert again.error == [
        f"Error: A model is served as colours already, at {colours}.",
        "Hint:  Stop it (trainer serve stop colours), or choose another --name.",
    ]
    assert shop.trainer("serve", "logs", "colours").code == 0
    assert shop.trainer("serve", "stop", "other").error[0] == "Error: No model is served as other."


def test_a_registered_model_is_served_by_its_alias(shop: Site, tmp_path: Path) -> None:
    path = served.churn(tmp_path / "model.onnx")
    mlflow = shop.client
    run = mlflow.create_run(mlflow.create_experiment("customers")).info
    mlflow.log_artifact(run.run_id, str(path), "onnx")
    mlflow.create_registered_model("customers")
    tags = {version_tags.FORMAT: "onnx", version_tags.SHA256: hashlib.sha256(path.read_bytes()).hexdigest()}
    mlflow.create_model_version("customers", f"{run.artifact_uri}/onnx", run.run_id, tags=tags)
    mlflow.set_registered_model_alias("customers", "champion", "1")
    url = up(shop, "customers@champion")
    try:
        assert requests.get(f"{url}/version", timeout=10).json()["version"] == tags[version_tags.SHA256]
        listed = json.loads(shop.trainer("serve", "list", "--json").out)
        assert ("customers", "customers@1") in [(each["name"], each["model"]) for each in listed]
    finally:
        shop.trainer("serve", "stop", "customers")
        shop.trainer("server", "down")


def test_a_token_lets_in_and_stands_nowhere(shop: Site, client: docker.DockerClient) -> None:
    (shop.root / "token").write_text(f"{TOKEN}\n")
    url = up(shop, "churn.onnx", "--token-file", "token", "--host", "127.0.0.1")
    try:
        assert requests.post(f"{url}/predict", json=served.YES, timeout=10).status_code == 401
        headers = {"Authorization": f"Bearer {TOKEN}"}
        said = requests.post(f"{url}/predict", json=served.YES, headers=headers, timeout=10).json()
        assert said["predictions"][0]["class"] == "yes"
        assert requests.get(f"{url}/health", timeout=10).ok
        name = container.called(settings.find(shop.root), "churn")
        assert TOKEN not in json.dumps(client.containers.get(name).attrs)
        assert TOKEN.encode() not in client.containers.get(name).logs()
    finally:
        assert shop.trainer("serve", "stop", "churn").out == "Stopped churn.\n"


def attached(site: Site, *options: str) -> tuple[subprocess.Popen[str], str]:
    """A command that serves, and the address that it has printed."""
    process = site.start("serve", "churn.onnx", *options)
    assert process.stdout
    return process, process.stdout.readline().strip()


def test_ctrl_c_ends_it_and_leaves_nothing(shop: Site, client: docker.DockerClient) -> None:
    process, url = attached(shop, "--name", "mine")
    assert requests.post(f"{url}/predict", json=served.YES, timeout=10).ok
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert said.endswith("Ctrl-C stops it.\nStopped mine.\n")
    assert f'Open it in a browser, or try: curl --json \'{{"age": 0, "plan": "a"}}\' {url}/predict\n' in said
    assert [name for name in made(client, shop) if name.endswith("-mine")] == []


def test_what_a_killed_command_served_is_removed_by_gc(shop: Site, client: docker.DockerClient) -> None:
    process, url = attached(shop, "--name", "lost")
    process.kill()
    process.communicate()
    assert requests.get(f"{url}/health", timeout=10).ok
    listed = {
        each["name"]: each["status"] for each in json.loads(shop.trainer("serve", "list", "--json").out)
    }
    assert listed["lost"] == "abandoned"
    name = container.called(settings.find(shop.root), "lost")
    collected = shop.trainer("gc", "--yes", "--json")
    assert name in [each["name"] for each in json.loads(collected.out)], collected.err
    assert [each for each in made(client, shop) if each == name] == []


def test_a_port_that_is_taken_is_said_before_anything_is_made(
    shop: Site, client: docker.DockerClient
) -> None:
    before = made(client, shop)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = shop.trainer("serve", "churn.onnx", "--port", str(port))
    assert (refused.code, refused.error[0]) == (2, f"Error: The port {port} of 127.0.0.1 is taken.")
    assert made(client, shop) == before


def test_a_model_with_data_beside_it_is_refused(shop: Site, client: docker.DockerClient) -> None:
    before = made(client, shop)
    path = shop.root / "parts" / "parts.onnx"
    path.parent.mkdir()
    onnx.save(
        onnx.load(shop.root / "churn.onnx"), path, save_as_external_data=True, location="parts.data",
        size_threshold=0, convert_attribute=True,
    )  # fmt: skip
    refused = shop.trainer("serve", "parts/parts.onnx", timeout_s=60)
    assert refused.code == 2
    assert "keeps weights in another file" in refused.error[0]
    assert made(client, shop) == before


def test_too_little_memory_is_said(shop: Site, client: docker.DockerClient) -> None:
    before = made(client, shop)
    refused = shop.trainer("serve", "churn.onnx", "--memory", "24m", timeout_s=60)
    assert refused.code == 82, refused.err
    assert refused.error[1] == "Hint:  Give it more memory: --memory"
    assert made(client, shop) == before


def test_a_model_that_cannot_be_used_is_refused_before_anything_is_made(shop: Site, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    refused = shop.trainer("serve", str(tmp_path / "text.onnx"))
    assert refused.code == 2
    assert "is no ONNX file that can be used" in refused.error[0]
