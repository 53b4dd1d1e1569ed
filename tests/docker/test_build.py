"""Building images with the real BuildKit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from support import REPOSITORY, Site
from trainer.errors import ImageError
from trainer.images import build, spec, trainer_image
from trainer.images import lock as image_lock
from trainer.images.trainer_image import TrainerImage
from trainer.workspace import settings


def _plan(site: Site) -> TrainerImage:
    here = settings.find(site.root)
    return trainer_image.plan(here, spec.spec(here, "sklearn"))


def test_an_image_that_is_up_to_date_is_not_built(site: Site, tmp_path: Path) -> None:
    # A `docker` that fails: whoever builds, or asks BuildKit for anything, calls it.
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    done = site.trainer("build-image", "sklearn", "--json", env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert done.code == 0, done.err
    assert json.loads(done.out) == [
        {"name": "sklearn", "tag": _plan(site).tag, "id": json.loads(done.out)[0]["id"], "built": False}
    ]
    assert done.err == ""


def test_the_image_says_what_it_is_and_is_not_root(site: Site, client: docker.DockerClient) -> None:
    config = client.api.inspect_image(_plan(site).tag)["Config"]
    assert config["Labels"]["trainer.input_digest"] == _plan(site).digest
    assert config["User"] == "1000:1000"


def test_images_lists_what_is_there(site: Site) -> None:
    rows = {row["name"]: row for row in json.loads(site.trainer("images", "--json").out)}
    assert rows["sklearn"]["status"] == "up to date"
    assert 300 < rows["sklearn"]["size_mb"] < 1000
    assert rows["tensorflow-gpu"]["aliases"] == ["gpu"]
    others = json.loads(site.trainer("images", "--json", "--base-image", "another:1").out)
    assert {row["status"] for row in others if row["name"] == "sklearn"} == {"stale"}


def test_what_is_up_to_date_is_the_latest_again(small: Path, site: Site, client: docker.DockerClient) -> None:
    lock = small / "trainer_images" / "test-parent" / "requirements.txt"
    build_it = ("--workspace", str(small), "build-image", "test-parent")
    ids = []
    for said in ("", "".join(_locked("click")), ""):
        lock.write_text(said)
        done = site.trainer(*build_it)
        assert done.code == 0, done.err
        ids.append(build.image_id(client, "trainer/test-parent:latest"))
    assert "up to date" in done.out
    assert ids[0] == ids[2] != ids[1]
    client.images.remove("trainer/test-parent:latest")
    assert "up to date" in site.trainer(*build_it).out
    assert build.image_id(client, "trainer/test-parent:latest") == ids[0]


def test_a_child_image_is_built_on_its_parent(small: Path, site: Site, client: docker.DockerClient) -> None:
    done = site.trainer("--workspace", str(small), "build-image", "test-child")
    assert done.code == 0, done.err
    here = settings.find(small)
    child = trainer_image.plan(here, spec.spec(here, "test-child"))
    assert child.parent
    layers = {tag: client.api.inspect_image(tag)["RootFS"]["Layers"] for tag in (child.tag, child.parent.tag)}
    assert layers[child.tag][: len(layers[child.parent.tag])] == layers[child.parent.tag]


def test_an_image_knows_what_it_was_built_on(small: Path, site: Site, client: docker.DockerClient) -> None:
    done = site.trainer("--workspace", str(small), "build-image", "test-child")
    assert done.code == 0, done.err
    here = settings.find(small)
    child = trainer_image.plan(here, spec.spec(here, "test-child"))
    assert child.parent
    inherited = build.origin(client, child.tag)
    assert inherited.base_image == child.parent.tag
    own = build.origin(client, inherited.base_image_id)
    assert own.base_image == child.parent.base_image
    base = client.api.inspect_image(child.parent.base_image)
    assert own.base_image_id == base["Id"]
    assert own.base_image_digest == build.origin(client, base["Id"]).digest_as(own.base_image)
    assert own.id == client.api.inspect_image(child.parent.tag)["Id"]
    assert (build.origin(client, base["Id"]).base_image_id, own.repo_digests) == ("", ())


def test_an_image_that_is_gone_has_no_origin(client: docker.DockerClient) -> None:
    with pytest.raises(ImageError, match="does not have the image trainer/none:1"):
        build.origin(client, "trainer/none:1")


def test_a_requirement_that_is_added_leaves_what_is_big_as_it_was(
    small: Path, site: Site, client: docker.DockerClient
) -> None:
    here = settings.find(small)
    lock = small / "trainer_images" / "test-parent" / "requirements.txt"
    bulky, added = _locked("wcwidth", "click")
    layers = []
    for said in ("", bulky, bulky + added):
        lock.write_text(said)
        done = site.trainer("--workspace", str(small), "build-image", "test-parent")
        assert done.code == 0, done.err
        tag = trainer_image.plan(here, spec.spec(here, "test-parent")).tag
        layers.append(client.api.inspect_image(tag)["RootFS"]["Layers"])
    assert client.containers.run(tag, ["python", "-c", "import wcwidth, click"], remove=True) == b""
    nothing, before, after = layers
    # What comes last: the big ones, the others, trainkit, the home.
    assert nothing[:-4] == before[:-4]
    assert nothing[-4] != before[-4] == after[-4]
    assert before[-3] != after[-3]


def test_what_a_lock_says_of_all_packages_is_meant_for_the_big_ones_too(small: Path, site: Site) -> None:
    (entry,) = _locked("wcwidth")
    (small / "trainer_images" / "test-parent" / "requirements.txt").write_text(f"--no-index\n{entry}")
    done = site.trainer("--workspace", str(small), "build-image", "test-parent")
    assert done.code == 83
    assert "wcwidth" in (small / ".trainer" / "build-test-parent.log").read_text()


def test_a_lock_that_lacks_a_package_is_named(small: Path, site: Site) -> None:
    (entry,) = _locked("python-dateutil")
    (small / "trainer_images" / "test-parent" / "requirements.txt").write_text(entry)
    done = site.trainer("--workspace", str(small), "build-image", "test-parent")
    assert done.code == 83
    assert (
        "The package `python-dateutil` requires `tzdata`"
        in (small / ".trainer" / "build-test-parent.log").read_text()
    )


def test_an_image_has_byte_code_and_no_tests_of_libraries(site: Site, client: docker.DockerClient) -> None:
    list_jobs = (
        "import pathlib, sklearn\n"
        "site = pathlib.Path(sklearn.__file__).parents[1]\n"
        "code = list(site.rglob('*.py'))\n"
        "compiled = {f.parents[1] / f.name.split('.')[0] for f in site.rglob('*.pyc')}\n"
        "print(len(code) > 1000, [f for f in code if f.with_name(f.name.split('.')[0]) not in compiled])\n"
        "print([f for f in site.rglob('tests') if f.is_dir()])\n"
    )
    said = client.containers.run(_plan(site).tag, ["python", "-c", list_jobs], remove=True)
    assert said == b"True []\n[]\n"


def test_imports_are_not_searched_for_garbage(site: Site, client: docker.DockerClient) -> None:
    list_jobs = "import gc, sklearn.ensemble; print(gc.get_stats()[2]['collections'], len(gc.callbacks))"
    assert client.containers.run(_plan(site).tag, ["python", "-c", list_jobs], remove=True) == b"0 1\n"


def _locked(*names: str) -> list[str]:
    """What the lock of the sklearn image says of these packages."""
    lock = (REPOSITORY / "trainer_images" / "sklearn" / "requirements.txt").read_text()
    results = [re.search(rf"^{name}==(?:.*\\\n)+.*\n", lock, re.MULTILINE) for name in names]
    return [entry[0] for entry in results if entry]


def test_a_build_that_fails_says_why_and_where_the_log_is(small: Path, site: Site) -> None:
    (small / "trainer_images" / "test-parent" / "requirements.txt").write_text(
        f"no-such-package-anywhere==1 --hash=sha256:{'0' * 64}\n"
    )
    done = site.trainer("--workspace", str(small), "build-image", "test-parent")
    assert done.code == 83
    error = done.err.splitlines()[-2]
    assert error.startswith("Error: The build of test-parent failed: ")
    assert "no-such-package-anywhere" in error
    assert len(error) < 300
    log = small / ".trainer" / "build-test-parent.log"
    assert done.err.splitlines()[-1].endswith(f" See {log}")
    assert "The end of " in done.err
    assert "no-such-package-anywhere" in log.read_text()


def test_a_base_image_that_cannot_be_had_is_named(small: Path, site: Site) -> None:
    done = site.trainer(
        "--workspace", str(small), "build-image", "test-parent", "--base-image", "localhost:1/none:1"
    )
    assert done.code == 83
    assert done.err.splitlines()[-2:] == [
        "Error: The base image localhost:1/none:1 is not available locally and cannot be pulled.",
        "Hint:  Specify one that is: --base-image IMAGE, TRAINER_BASE_IMAGE, or base_image in trainer.yaml.",
    ]


def test_a_docker_without_buildx_says_how_to_get_it(small: Path, site: Site, tmp_path: Path) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    done = site.trainer(
        "--workspace", str(small), "build-image", "test-parent", env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    assert done.code == 82
    assert done.err.splitlines()[-2] == "Error: docker has no buildx, which the images are built with."


def test_an_image_of_ones_own_is_built_with_what_trainer_brings(
    site: Site, client: docker.DockerClient, tmp_path: Path
) -> None:
    made = site.trainer("init", str(tmp_path / "lab"))
    assert made.code == 0, made.err
    own = tmp_path / "lab" / "trainer_images" / "test-own"
    own.mkdir(parents=True)
    (own / "image.yaml").write_text("{}")
    (own / "requirements.txt").touch()
    try:
        built = site.trainer("--workspace", str(tmp_path / "lab"), "build-image", "test-own")
        assert built.code == 0, built.err
        tag = built.out.split()[0]
        said = client.containers.run(
            tag, ["python", "-c", "import trainkit; print('in', trainkit.__name__)"], remove=True
        )
        assert said == b"in trainkit\n"
        assert list((tmp_path / "lab" / ".trainer").glob("context-*")) == []
    finally:
        for tag in [tag for image in client.images.list() for tag in image.tags]:
            if tag.startswith("trainer/test-own:"):
                client.images.remove(tag, force=True)


@pytest.fixture
def lab(client: docker.DockerClient, tmp_path: Path) -> Iterator[Path]:
    """A workspace that has no image of its own yet."""
    (tmp_path / "trainer.yaml").touch()
    yield tmp_path
    for tag in [tag for image in client.images.list("trainer/test-tables") for tag in image.tags]:
        client.images.remove(tag, force=True)


def _locked_versions(folder: Path, *packages: str) -> list[str | None]:
    return [image_lock.locked_version(folder / image_lock.LOCK, package) for package in packages]


def test_an_image_of_a_requirements_file(lab: Path, site: Site, client: docker.DockerClient) -> None:
    (lab / "wanted.txt").write_text("click>=8\ntabulate\n")
    for arguments in (
        ("images", "new", "test-tables", "--from", str(lab / "wanted.txt"), "--inherit", "sklearn"),
        ("build-image", "test-tables"),
    ):
        done = site.trainer("--workspace", str(lab), *arguments)
        assert done.code == 0, done.err
    own = lab / "trainer_images" / "test-tables"
    # What the inherited image has stays as it is there.
    assert _locked_versions(own, "click") == _locked_versions(
        REPOSITORY / "trainer_images" / "sklearn", "click"
    )
    command = ["python", "-c", "import click, sklearn, tabulate; print(tabulate.__version__)"]
    said = client.containers.run("trainer/test-tables", command, remove=True)
    assert _locked_versions(own, "tabulate") == [said.decode().strip()]


def test_packages_are_added_to_a_lock_whose_versions_stay(lab: Path, site: Site) -> None:
    own = lab / "trainer_images" / "test-tables"
    here = ("--workspace", str(lab), "images")
    # No Python but trainer's own, whose environment is not activated.
    made = site.trainer(*here, "new", "test-tables", "--inherit", "sklearn", env={"PATH": str(lab)})
    assert made.code == 0, made.err
    assert site.trainer(*here, "add", "test-tables", "tabulate==0.9.0").code == 0
    # A newer one would do as well from now on.
    (own / "requirements.in").write_text("tabulate\n")
    done = site.trainer(*here, "add", "test-tables", "wcwidth>=0.2")
    assert done.code == 0, done.err
    assert _locked_versions(own, "tabulate", "wcwidth")[0] == "0.9.0"
    image_lock.check("test-tables", own / image_lock.LOCK)
    before = (own / image_lock.LOCK).read_bytes()
    done = site.trainer(*here, "add", "test-tables", "tabulate==0.0.0.1")
    assert done.code == 83
    assert done.err.splitlines()[-2].startswith("Error: The packages do not go together: Because ")
    assert "tabulate==0.0.0.1" in done.err
    assert (own / image_lock.LOCK).read_bytes() == before
