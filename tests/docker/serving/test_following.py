"""A served model whose alias moves: the version that it points to answers, and no request fails."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest
import requests
from support import Site
from trainer.serving import container
from trainer.workspace import settings
from unit.model_server import served
from unit.trainkit.inference.models import image_description, write_colours

RED = served.image((250, 10, 10))
ANSWERS = {"1": "red", "2": "blue"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace with two versions of a model, of which the second takes red for blue, and others."""
    shop = Site(tmp_path_factory.mktemp("swaps") / "shop", port=5476)
    folder = tmp_path_factory.mktemp("onnx")
    for order in ((0, 1, 2), (2, 1, 0)):
        register(shop, write_colours(folder / "model.onnx", order=order))
    register(shop, write_colours(folder / "model.onnx", image_description(classes=("b", "g", "r"))))
    run = shop.client.create_run(shop.client.get_experiment_by_name("skin").experiment_id).info
    shop.client.create_model_version("skin", f"{run.artifact_uri}/model", run.run_id)
    yield shop
    assert shop.trainer("serve", "stop", "--all").code == 0
    shop.trainer("server", "down")
    until(lambda: keepers(shop), [], "nobody looks after what is stopped")


def register(site: Site, path: Path) -> None:
    client = site.client
    with contextlib.suppress(Exception):
        client.create_registered_model("skin")
        client.create_experiment("skin")
    run = client.create_run(client.get_experiment_by_name("skin").experiment_id).info
    client.log_artifact(run.run_id, str(path), "onnx")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    tags = {"trainer.format": "onnx", "trainer.sha256": digest}
    client.create_model_version("skin", f"{run.artifact_uri}/onnx", run.run_id, tags=tags)


def until(told: Callable[[], object], wanted: object, what: str = "", within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while (said := told()) != wanted:
        assert time.monotonic() < deadline, (what, said)
        time.sleep(0.05)


def keepers(site: Site) -> list[int]:
    """The processes that look after models of the workspace."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"follow" in words and str(site.root).encode() in words:
                found.append(int(folder.name))
    return found


def listed(site: Site, name: str = "skin") -> dict[str, str]:
    [row] = [row for row in json.loads(site.trainer("serve", "list", "--json").out) if row["name"] == name]
    return dict(row)


def model(url: str) -> str:
    return str(requests.get(f"{url}/version", timeout=10).json()["model"])


def point(site: Site, version: int, alias: str = "champion") -> None:
    """Move the alias as somebody on another machine does."""
    site.client.set_registered_model_alias("skin", alias, str(version))


@pytest.fixture
def url(shop: Site) -> Iterator[str]:
    point(shop, 1)
    done = shop.trainer("serve", "skin@champion", "--detach")
    assert done.code == 0, done.err
    assert "It follows skin@champion: a version that is promoted takes its place." in done.err
    yield done.out.strip()
    assert shop.trainer("serve", "stop", "skin").code == 0
    until(lambda: keepers(shop), [], "nobody looks after what is stopped", within_s=5)


@dataclass
class Load:
    """Eight clients that ask without a pause."""

    url: str
    classes: list[tuple[float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        stop = threading.Event()

        def ask() -> None:
            with requests.Session() as session:
                while not stop.is_set():
                    try:
                        answer = session.post(
                            f"{self.url}/predict", data=RED, headers={"Content-Type": "image/png"}, timeout=30
                        )
                        answer.raise_for_status()
                        said = answer.json()["predictions"][0]["class"]
                        self.classes.append((time.monotonic(), said))
                    except requests.RequestException as error:
                        self.failures.append(str(error))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)

    def within(self, begun: float, ended: float) -> set[str]:
        return {said for at, said in self.classes if begun <= at <= ended}


def test_a_promotion_and_its_rollback_under_load_fail_no_request(shop: Site, url: str) -> None:
    load = Load(url)
    with load.applied():
        time.sleep(1)
        begun = time.monotonic()
        promoted = shop.trainer("models", "promote", "skin@2")
        assert promoted.code == 0, promoted.err
        taken_s = time.monotonic() - begun
        swapped = time.monotonic()
        time.sleep(1)
        assert load.within(swapped, time.monotonic()) == {"blue"}
        back = shop.trainer("models", "rollback", "skin")
        assert back.code == 0, back.err
        returned = time.monotonic()
        time.sleep(1)
        assert load.within(returned, time.monotonic()) == {"red"}
    assert load.failures == []
    assert len(load.classes) > 200
    assert f"{url} answers with skin@2." in promoted.err
    assert f"{url} answers with skin@1." in back.err
    assert taken_s < 10
    assert model(url) == "skin@1"
    assert (listed(shop)["model"], listed(shop)["alias"]) == ("skin@1", "skin@champion")
    metrics = requests.get(f"{url}/metrics", timeout=10).text
    assert "model_swaps_total 2.0" in metrics
    said = shop.trainer("serve", "logs", "skin").out
    assert said.splitlines()[-2:] == [
        "skin@2 takes the place of skin@1.", "skin@1 takes the place of skin@2.",
    ]  # fmt: skip


def test_an_alias_that_somebody_else_moves_is_followed(
    shop: Site, url: str, client: docker.DockerClient
) -> None:
    point(shop, 2)
    until(lambda: model(url), "skin@2", within_s=20)
    until(lambda: files(shop, client), 1, "the version before is removed")


def files(site: Site, client: docker.DockerClient) -> int:
    name = container.called(settings.find(site.root), "skin")
    script = "import glob; print(len(glob.glob('/model/*.onnx')))"
    _, said = client.containers.get(name).exec_run(["python", "-c", script])
    assert isinstance(said, bytes)
    return int(said)


def test_one_that_looks_after_it_is_enough_and_a_killed_one_is_replaced(shop: Site, url: str) -> None:
    until(lambda: len(keepers(shop)), 1)
    time.sleep(2)
    [keeper] = keepers(shop)
    assert shop.trainer("serve", "list").err == ""
    os.kill(keeper, signal.SIGKILL)
    until(lambda: keepers(shop), [])
    point(shop, 2)
    again = shop.trainer("serve", "list")
    assert "The process that looks after skin was gone; another one does now." in again.err
    until(lambda: model(url), "skin@2")


def test_a_tracking_server_that_is_away_costs_no_answer(shop: Site, url: str) -> None:
    shop.trainer("server", "down")
    until(lambda: "tracking server is not running" in listed(shop)["remark"], True)
    assert requests.post(f"{url}/predict", data=RED, headers={"Content-Type": "image/png"}, timeout=10).ok
    assert listed(shop)["status"] == "serving"
    shop.trainer("server", "up", "--process")
    point(shop, 2)
    until(lambda: model(url), "skin@2")
    until(lambda: listed(shop)["remark"], "")


def test_a_version_that_clients_would_not_understand_is_not_swapped_in(shop: Site, url: str) -> None:
    promoted = shop.trainer("models", "promote", "skin@3")
    assert promoted.code == 0
    assert f"{url} answers with skin@1 still." in promoted.err
    command = (
        f"trainer serve stop skin, then trainer serve skin@champion --name skin --port {url[-4:]} --detach"
    )
    assert command in " ".join(promoted.err.split())
    until(lambda: listed(shop)["status"], "degraded")
    until(lambda: command in listed(shop)["remark"], True)
    assert "its classes are b, g, r, not blue, green, red" in listed(shop)["remark"]
    health = requests.get(f"{url}/health", timeout=10)
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert "skin@3 is not served: its classes are" in shop.trainer("serve", "logs", "skin").out
    without_file = shop.trainer("models", "promote", "skin@4")
    assert "skin@4 is not served: skin@4 has no ONNX file" in " ".join(without_file.err.split())
    until(lambda: "skin@4 has no ONNX file" in listed(shop)["remark"], True)
    assert "skin@3" not in listed(shop)["remark"]
    assert shop.trainer("models", "promote", "skin@1").code == 0
    until(lambda: listed(shop)["status"], "serving")
    assert model(url) == "skin@1"


@pytest.mark.parametrize("said", ["skin@2", "FILE"])
def test_what_is_pinned_never_moves(shop: Site, said: str) -> None:
    if said == "FILE":
        said = write_colours(shop.root / "skin.onnx").name
    done = shop.trainer("serve", said, "--detach")
    assert "follows" not in done.err
    try:
        assert keepers(shop) == []
        before = model(done.out.strip())
        moved = shop.trainer("models", "promote", "skin@1", "--alias", "other")
        assert "answers with" not in moved.err
        assert model(done.out.strip()) == before
        assert listed(shop)["alias"] == ""
    finally:
        shop.trainer("serve", "stop", "skin")


def test_in_the_foreground_it_follows_too_and_says_what_is_wrong(shop: Site) -> None:
    point(shop, 1)
    process = shop.start("serve", "skin@champion")
    assert process.stdout
    url = process.stdout.readline().strip()
    point(shop, 2)
    until(lambda: model(url), "skin@2")
    shop.trainer("server", "down")
    time.sleep(7)
    shop.trainer("server", "up", "--process")
    time.sleep(7)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said_in_order(
        said,
        [
            "skin@2 takes the place of skin@1.",
            "The workspace's tracking server is not running. skin is served on",
            "skin@champion is followed again.",
            "Stopped skin.",
        ],
    ), said
    until(lambda: keepers(shop), [], within_s=10)


def said_in_order(text: str, parts: Sequence[str]) -> bool:
    places = [text.find(part) for part in parts]
    return -1 not in places and places == sorted(places) and all(text.count(part) == 1 for part in parts)


def test_a_shadow_is_asked_the_same_follows_its_alias_and_delays_nobody(shop: Site) -> None:
    point(shop, 1)
    point(shop, 2, "challenger")
    refused = shop.trainer("serve", "skin@champion", "--shadow", "skin@3")
    assert refused.code == 2
    assert "skin@3 cannot be the shadow of skin@1: its classes are b, g, r" in refused.error[0]
    done = shop.trainer("serve", "skin@champion", "--shadow", "skin@challenger", "--detach")
    assert done.code == 0, done.err
    url = done.out.strip()
    try:
        until(lambda: listed(shop)["shadow"], "skin@2")
        load = Load(url)
        with load.applied():
            time.sleep(2)
        assert load.failures == []
        assert {said for _, said in load.classes} == {"red"}
        asked, differed, dropped = (figure(url, name) for name in ("requests", "disagreements", "dropped"))
        assert asked > 20
        until(lambda: figure(url, "requests") + figure(url, "dropped"), float(len(load.classes)))
        assert differed / asked > 0.9, (asked, differed, dropped)
        logged = json.loads(shop.trainer("predictions", "list", "skin", "--shadow", "--json").out)
        assert {(each["role"], each["called"], each["class"]) for each in logged} == {
            ("shadow", "skin@2", "blue")
        }
        moved = shop.trainer("models", "promote", "skin@1", "--alias", "challenger")
        assert f"{url} answers with skin@1, its shadow is skin@1." in moved.err
        requests.post(f"{url}/predict", data=RED, headers={"Content-Type": "image/png"}, timeout=10)
        until(lambda: figure(url, "requests") + figure(url, "dropped"), float(len(load.classes) + 1))
        assert figure(url, "disagreements") + figure(url, "dropped") < len(load.classes) + 1
    finally:
        assert shop.trainer("serve", "stop", "skin").code == 0
    until(lambda: keepers(shop), [], within_s=5)


def figure(url: str, name: str) -> float:
    lines = requests.get(f"{url}/metrics", timeout=10).text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"shadow_{name}_total "))
