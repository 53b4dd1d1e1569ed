"""What a served model answers is in a file of the workspace, which the host reads and labels meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
import requests
from support import Site
from trainer.predictions import places
from trainer.serving import container, image
from trainer.workspace import settings
from unit.model_server import served


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace with two models."""
    shop = Site(tmp_path_factory.mktemp("logged") / "shop", port=5462)
    served.colours(shop.root / "colours.onnx")
    served.churn(shop.root / "churn.onnx")
    yield shop
    assert shop.trainer("serve", "stop", "--all").code == 0


def up(site: Site, model: str, *options: str) -> str:
    done = site.trainer("serve", model, "--detach", *options)
    assert done.code == 0, done.err
    return done.out.strip()


def log_of(site: Site, name: str) -> Path:
    return places.folder(settings.find(site.root), name) / places.FILE


def rows(path: Path, query: str = "SELECT * FROM answers ORDER BY number") -> list[dict[str, object]]:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)


def logged(path: Path) -> int:
    try:
        return len(rows(path))
    except sqlite3.OperationalError:  # not made yet
        return 0


def test_rows_and_images_are_in_the_workspace_and_labelled_while_they_come(
    shop: Site, client: docker.DockerClient
) -> None:
    url, path = up(shop, "churn.onnx"), log_of(shop, "churn")
    assert requests.post(f"{url}/predict", json={"rows": [served.YES, served.NO]}, timeout=10).ok
    until(lambda: logged(path) == 2)
    for made in (path.parent, path):
        assert made.stat().st_uid == os.getuid()
        assert made.stat().st_mode & 0o077 == 0
    assert requests.get(f"{url}/health", timeout=10).json()["log"] == "ok"

    # The server writes while the host labels: neither waits long, and nothing is lost.
    asked = 2
    with requests.Session() as session:
        for label in ("no", "yes") * 3:
            for _ in range(40):
                assert session.post(f"{url}/predict", json=served.YES, timeout=10).ok
                asked += 1
            done = shop.trainer("predictions", "label", str(rows(path)[0]["id"]), label)
            assert done.code == 0, done.err
    until(lambda: logged(path) == asked)
    assert rows(path)[0]["label"] == "yes"
    labels = rows(path, "SELECT label FROM labels ORDER BY number")
    assert [row["label"] for row in labels] == ["no", "yes"] * 3
    assert requests.get(f"{url}/health", timeout=10).json()["log"] == "ok"

    # A server that is killed loses nothing that it has written, and goes on.
    name = container.called(settings.find(shop.root), "churn")
    client.containers.get(name).restart(timeout=0)
    until(lambda: shop.trainer("serve", "list").out.count(" serving "))
    assert requests.post(f"{url}/predict", json=served.NO, timeout=10).ok
    assert shop.trainer("serve", "stop", "churn").code == 0
    assert len(rows(path)) == asked + 1
    assert shop.trainer("gc", "--yes").code == 0
    assert shop.trainer("gc", "--cache", "--yes").code == 0
    assert rows(path, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]

    # Without a server.
    [last, *_] = json.loads(shop.trainer("predictions", "list", "churn", "--json").out)
    assert shop.trainer("predictions", "label", last["id"], "no").code == 0
    assert shop.trainer("predictions").out.splitlines()[-1] == "churn: 2 labels, accuracy 100.0%"


def test_the_program_sqlite3_reads_it_and_images_are_kept_when_asked_for(shop: Site) -> None:
    url, path = up(shop, "colours.onnx", "--keep-inputs", "--log-limit", "50m"), log_of(shop, "colours")
    file = served.image((10, 200, 90), kind="JPEG")
    for _ in range(2):
        said = requests.post(f"{url}/predict", files={"image": ("a.jpg", file)}, timeout=10).json()
    until(lambda: logged(path) == 2)
    [prediction] = said["predictions"]
    [row, _] = rows(path)
    assert (row["class"], row["confidence"]) == ("green", prediction["confidence"])
    assert row["input"] == hashlib.sha256(file).hexdigest()
    assert rows(path, "SELECT content FROM inputs") == [{"content": file}]
    command = ["sqlite3", "-readonly", str(path), "SELECT class, count(*) FROM answers GROUP BY class"]
    with contextlib.suppress(FileNotFoundError):  # not every machine has it
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "green|2\n"


def test_as_many_rows_as_a_request_may_have_are_logged_where_no_temporary_file_can_be(shop: Site) -> None:
    url, path = up(shop, "churn.onnx", "--name", "many"), log_of(shop, "many")
    assert requests.post(f"{url}/predict", json={"rows": [served.YES] * 10_000}, timeout=60).ok
    until(lambda: logged(path) == 10_000 or requests.get(f"{url}/health", timeout=10).json()["log"] != "ok")
    assert requests.get(f"{url}/health", timeout=10).json()["log"] == "ok"
    assert shop.trainer("serve", "stop", "many").code == 0


def test_without_a_log_nobody_is_who_serves_and_nothing_of_the_host_is_there(
    shop: Site, client: docker.DockerClient
) -> None:
    url = up(shop, "churn.onnx", "--name", "forgetful", "--no-log")
    attrs = client.containers.get(container.called(settings.find(shop.root), "forgetful")).attrs
    assert attrs["Config"]["User"] == "65534:65534"
    assert [mount["Type"] for mount in attrs["Mounts"]] == ["volume"]
    assert requests.post(f"{url}/predict", json=served.YES, timeout=10).ok
    assert requests.get(f"{url}/health", timeout=10).json()["log"] == "off"
    assert not log_of(shop, "forgetful").parent.exists()
    refused = shop.trainer("predictions", "list", "forgetful")
    assert refused.error[0] == "Error: No predictions of forgetful are logged."


def test_a_disk_that_is_full_fails_no_answer_and_is_said(shop: Site, client: docker.DockerClient) -> None:
    """A small disk, which something else fills; when that is gone, nothing is missing."""
    tag = image.plan(settings.find(shop.root)).tag
    disk = {"/log": f"size=10m,uid={os.getuid()},gid={os.getgid()},mode=700"}
    options = ["/model.onnx", "--host", "0.0.0.0", "--published-on-loopback", "--log", "/log"]
    server = client.containers.create(
        tag, options, tmpfs=disk, user=f"{os.getuid()}:{os.getgid()}", ports={"8080/tcp": ("127.0.0.1", 5463)}
    )  # fmt: skip
    try:
        subprocess.run(
            ["docker", "cp", str(shop.root / "churn.onnx"), f"{server.id}:/model.onnx"], check=True,
            capture_output=True,
        )  # fmt: skip
        server.start()
        url = "http://127.0.0.1:5463"

        def health() -> str:
            try:
                return str(requests.get(f"{url}/health", timeout=5).json()["log"])
            except requests.ConnectionError:
                return ""

        def run(script: str) -> int | None:
            return server.exec_run(["python", "-c", script]).exit_code

        until(lambda: health() == "ok")
        many = {"rows": [{"age": age, "plan": "a"} for age in range(500)]}
        assert requests.post(f"{url}/predict", json=many, timeout=10).ok
        until(lambda: run("import os; os.stat('/log/predictions.sqlite')") == 0)
        assert run("open('/log/filler', 'wb').write(bytes(2**24))") == 1
        for _ in range(10):
            assert len(requests.post(f"{url}/predict", json=many, timeout=10).json()["predictions"]) == 500
        until(lambda: health() == "error: database or disk is full")
        assert requests.get(f"{url}/health", timeout=5).status_code == 200
        errors = [
            float(line.split()[1])
            for line in requests.get(f"{url}/metrics", timeout=5).text.splitlines()
            if line.startswith("prediction_log_errors_total ")
        ]
        assert errors >= [1]
        assert run("import os; os.remove('/log/filler')") == 0
        until(lambda: health() == "ok")
        count = (
            "import sqlite3; log = sqlite3.connect('/log/predictions.sqlite');"
            " print(*log.execute('SELECT count(*) FROM predictions').fetchone())"
        )
        assert server.exec_run(["python", "-c", count]).output == b"5500\n"
        assert b"The prediction log cannot be written: database or disk is full" in server.logs()
    finally:
        server.remove(force=True)
