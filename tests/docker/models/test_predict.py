"""`trainer predict` with models of the workspace's own server, which is not needed twice. No engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Result, Site
from unit.trainkit.inference.models import image_description, write_colours

SPECIES = ("blackbird", "greenfinch", "robin")
OTHERS = ("raven", "parrot", "cardinal")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace with a run and two versions of the model `birds`; the newer one has other classes."""
    site = Site(tmp_path_factory.mktemp("birds") / "site", port=5459)
    Image.fromarray(np.full((9, 9, 3), (255, 0, 0), np.uint8)).save(site.root / "red.png")
    client = site.client
    experiment = client.create_experiment("birds")
    client.create_registered_model("birds")
    for number, classes in enumerate((SPECIES, OTHERS), 1):
        info = client.create_run(experiment, run_name=f"flight-{number}").info
        file = write_colours(site.root / "model.onnx", image_description(classes=classes))
        client.log_artifact(info.run_id, str(file), "onnx")
        client.set_terminated(info.run_id)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        file.unlink()
        tags = {"trainer.format": "onnx", "trainer.sha256": sha256}
        client.create_model_version("birds", f"{info.artifact_uri}/onnx", info.run_id, tags=tags)
    info = client.create_run(experiment, run_name="flight-3").info
    client.set_terminated(info.run_id)
    client.create_model_version(
        "birds", f"{info.artifact_uri}/model", info.run_id, tags={"trainer.format": "keras"}
    )
    client.set_registered_model_alias("birds", "champion", "1")
    yield site
    site.trainer("server", "down")


def species(site: Site, model: str) -> tuple[str, list[str]]:
    """The class, and what is said on stderr besides what is waited for."""
    done = site.trainer("predict", model, "red.png", "--json")
    assert done.code == 0, done.err
    [answer] = json.loads(done.out)["predictions"]
    return answer["class"], [line for line in done.err.splitlines() if "birds@" in line]


def kept(site: Site) -> list[Path]:
    return sorted((site.root / ".trainer" / "models").glob("*.onnx"))


def refusal(done: Result) -> tuple[int, list[str]]:
    assert done.out == ""
    return done.code, done.error


def test_a_run_a_version_and_an_alias_are_fetched_once_and_found_without_a_server(site: Site) -> None:
    assert species(site, "birds@champion") == ("robin", ["birds@champion is birds@1."])
    assert species(site, "flight-1") == ("robin", [])
    assert len(kept(site)) == 1
    assert species(site, "birds@2") == ("cardinal", [])
    assert len(kept(site)) == 2
    assert site.trainer("server", "down").code == 0
    assert species(site, "birds@1") == ("robin", [])
    assert species(site, "birds@2") == ("cardinal", [])
    assert ["status", "down"] in [line.split() for line in site.trainer("server", "status").out.splitlines()]


def test_an_alias_that_has_moved_is_another_version(site: Site) -> None:
    assert species(site, "birds@champion")[0] == "robin"
    assert site.trainer("models", "promote", "birds@2").code == 0
    assert species(site, "birds@champion") == ("cardinal", ["birds@champion is birds@2."])
    assert site.trainer("models", "rollback", "birds").code == 0
    assert species(site, "birds@champion")[0] == "robin"


def test_a_kept_file_that_was_damaged_is_fetched_again(site: Site) -> None:
    species(site, "birds@1")
    for path in kept(site):
        path.write_bytes(write_colours(site.root / "x.onnx", image_description(classes=OTHERS)).read_bytes()
                         + b"\x08\x07")  # fmt: skip
    code, lines = refusal(site.trainer("predict", "birds@1", "red.png"))
    assert (code, "was damaged since it was fetched" in lines[0]) == (92, True)
    assert species(site, "birds@1")[0] == "robin"


def test_a_model_without_an_onnx_file_is_refused(site: Site) -> None:
    code, lines = refusal(site.trainer("predict", "birds@3", "red.png"))
    assert (code, lines[0]) == (2, "Error: birds@3 has no ONNX file: it is a model of keras.")
    code, lines = refusal(site.trainer("predict", "flight-3", "red.png"))
    assert (code, lines[0]) == (2, "Error: The run flight-3 has no ONNX file.")
    code, lines = refusal(site.trainer("predict", "birds@9", "red.png"))
    assert (code, lines[0]) == (2, "Error: birds has no version 9.")
    code, lines = refusal(site.trainer("predict", "nobody", "red.png"))
    assert (code, lines[0]) == (2, "Error: There is no run nobody.")


def test_a_file_that_is_not_the_registered_one_is_refused(site: Site) -> None:
    client = site.client
    version = client.get_model_version("birds", "2")
    other = write_colours(site.root / "model.onnx", image_description())
    client.log_artifact(version.run_id, str(other), "other")
    other.unlink()
    tags = {"trainer.format": "onnx", "trainer.sha256": "ab" * 32}
    source = version.source.replace("/onnx", "/other")
    number = client.create_model_version("birds", source, version.run_id, tags=tags).version
    before = kept(site)
    code, lines = refusal(site.trainer("predict", f"birds@{number}", "red.png"))
    assert (code, lines[0]) == (
        84, f"Error: The ONNX file of birds@{number} is not the one that was registered."
    )  # fmt: skip
    assert kept(site) == before
