"""The code of a large project: what the engine keeps of it, and that a run notices nothing of that."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.images import Image
from support import Result, Site
from trainer.backends.docker.config import container_name
from trainer.workspace import settings

_MANY = 1_000
_MAIN = """\
import pathlib
for path in sorted(pathlib.Path().rglob("*")):
    at = path.stat()
    print(path, oct(at.st_mode), at.st_uid, at.st_gid, path.is_file() and (at.st_mtime, path.read_text()))
pathlib.Path("lib/000.txt").write_text("changed by the run")
pathlib.Path("lib/001.txt").unlink()
pathlib.Path("new").mkdir()
"""


@pytest.fixture
def large(site: Site, client: docker.DockerClient) -> Iterator[Path]:
    """A project with many files that writes into its code."""
    project = site.root / "train_code" / "large"
    (project / "lib").mkdir(parents=True)
    (project / "MLproject").write_text(
        "name: large\ndocker_env: {image: trainer/sklearn}\nentry_points: {main: {command: python main.py}}\n"
    )
    (project / "main.py").write_text(_MAIN)
    for number in range(_MANY):
        (project / "lib" / f"{number:03}.txt").write_text(f"{number}\n")
    (project / "lib" / "002.txt").chmod(0o755)
    yield project
    shutil.rmtree(project)
    for image in kept(site, client):
        client.images.remove(str(image.id), force=True)


def kept(site: Site, client: docker.DockerClient) -> list[Image]:
    """The code that the engine keeps of this workspace."""
    ours = f"trainer.workspace={settings.find(site.root).identity}"
    return list(client.images.list(filters={"label": ["trainer.code", ours]}))


def leftovers(site: Site) -> list[str]:
    """The containers, and the images of code, that `trainer gc` would remove."""
    payload = json.loads(site.trainer("gc", "--dry-run", "--json").out)
    names = [(item["kind"], item["name"]) for item in payload]
    return [name for kind, name in names if kind == "container" or name.startswith("trainer-code:")]


def run(site: Site, client: docker.DockerClient, tmp_path: Path, *arguments: str) -> tuple[Result, str, str]:
    """A run of the project, its output, and the id of the image that its container was made of."""
    since = int(time.time())
    done = site.trainer("run", "large", *arguments)
    assert done.code == 0, done.err
    filters = {"event": "create", "container": container_name(done.run_id)}
    events = client.events(since=since, until=int(time.time()) + 1, filters=filters, decode=True)
    (place := tmp_path / done.run_id).mkdir()
    return done, site.log(done.run_id, place), next(events)["Actor"]["Attributes"]["image"]


def test_code_that_is_launched_again_is_kept_and_every_run_has_it_as_it_was(
    site: Site, client: docker.DockerClient, large: Path, tmp_path: Path
) -> None:
    (first, first_log, own), (second, second_log, _), (third, third_log, layered) = (
        run(site, client, tmp_path) for _ in range(3)
    )
    assert first_log == second_log == third_log
    assert "lib/002.txt 0o100755" in third_log
    assert first_log.count("\n") >= _MANY
    digests = {
        site.run(done.run_id).data.tags["mlflow.trainer.code_digest"] for done in (first, second, third)
    }
    archives = {
        site.artifact(done.run_id, "trainer/source.tar.gz", tmp_path / done.run_id).read_bytes()
        for done in (first, second, third)
    }
    assert (len(digests), len(archives)) == (1, 1)
    image_ids = {site.run(done.run_id).data.tags["mlflow.trainer.image_id"] for done in (first, third)}
    assert image_ids == {own}  # the run's image is still the one that is recorded
    (image,) = kept(site, client)
    assert image.id == layered
    # Nothing but the code is in it: no secrets, nothing that a run has written.
    looking = ["find", "/trainer", "-maxdepth", "2", "-printf", "%P "]
    result = client.containers.run(layered, looking, remove=True).decode()
    assert sorted(result.split()) == ["code", "code/MLproject", "code/lib", "code/main.py"]

    # Of somebody else, who looks into it.
    image.tag("test-of-mine")
    made = client.containers.create("test-of-mine", ["true"])
    made.start()

    (large / "lib" / "000.txt").write_text("changed by hand\n")
    _, changed_log, image_of_changed = run(site, client, tmp_path)
    assert "changed by hand" in changed_log
    assert image_of_changed == own
    assert leftovers(site) == []
    made.remove(force=True)
    assert leftovers(site) == image.tags
    _, again_log, image_of_again = run(site, client, tmp_path)
    assert again_log == changed_log
    client.images.remove("test-of-mine")  # which is still there
    (image,) = kept(site, client)  # in place of the earlier one
    assert image.id == image_of_again != layered
    assert leftovers(site) == []


def test_code_that_was_kept_may_be_gone(
    site: Site, client: docker.DockerClient, large: Path, tmp_path: Path
) -> None:
    (large / "main.py").write_text("print('other')\n")
    for _ in range(2):
        run(site, client, tmp_path)
    (image,) = kept(site, client)
    client.images.remove(image.tags[0])
    assert run(site, client, tmp_path)[1] == "other\n"


def test_what_is_hardly_code_is_remarked_on(site: Site, large: Path) -> None:
    assert "stored with each run" not in site.trainer("run", "large").err
    (large / "main.py").write_text("print('no reader of weights')\n")
    (large / "weights.bin").write_bytes(os.urandom(51_000_000))
    done = site.trainer("run", "large")
    assert done.code == 0, done.err
    assert f"The code in {large} is 51 MB packed: all of it is stored with each run.\n" in done.err
    assert "List what is not code in .gitignore, or move it to data/.\n" in done.err


def test_a_read_only_run_gets_its_code_as_ever(
    site: Site, client: docker.DockerClient, large: Path, tmp_path: Path
) -> None:
    logs = {run(site, client, tmp_path, "--read-only")[1] for _ in range(2)}
    assert [log.count("lib/002.txt") for log in logs] == [1]
    assert large.exists()
    assert kept(site, client) == []
