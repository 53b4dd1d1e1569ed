"""Commands at one moment: each does its work once, and none spoils another's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from support import REPOSITORY, Result, Site


def at_once(site: Site, *commands: tuple[str, ...]) -> list[Result]:
    """All of them started before the first is waited for."""
    processes = [site.start(*command) for command in commands]
    ends = [process.communicate(timeout=240) for process in processes]
    return [Result(process.returncode, *end) for process, end in zip(processes, ends, strict=True)]


@pytest.fixture
def fresh(client: docker.DockerClient, tmp_path: Path) -> Iterator[Site]:  # noqa: ARG001
    """A workspace that was never used: no server, no database."""
    site = Site(tmp_path / "fresh", port=5730)
    yield site
    site.trainer("server", "down", "--force")


def test_two_builds_of_one_image_do_the_work_once(
    site: Site, client: docker.DockerClient, tmp_path: Path
) -> None:
    images = tmp_path / "trainer_images"
    (tmp_path / "trainer.yaml").touch()
    shutil.copytree(
        REPOSITORY / "trainer_images",
        images,
        ignore=lambda folder, names: [n for n in names if (Path(folder) / n / "image.yaml").exists()],
    )
    (images / "test-at-once").mkdir()
    (images / "test-at-once" / "image.yaml").write_text("{}")
    (images / "test-at-once" / "requirements.txt").touch()
    build = ("--workspace", str(tmp_path), "build-image", "test-at-once", "--json")
    try:
        both = at_once(site, build, build)
        assert [done.code for done in both] == [0, 0], both
        said = [json.loads(done.out)[0] for done in both]
        assert sorted(item["built"] for item in said) == [False, True]
        assert len({item["id"] for item in said}) == 1
    finally:
        for tag in [tag for image in client.images.list() for tag in image.tags]:
            if tag.startswith("trainer/test-at-once:"):
                client.images.remove(tag, force=True)


def test_two_runs_do_not_disturb_each_other(site: Site) -> None:
    good, bad = at_once(site, ("run", "probe"), ("run", "probe", "--mode", "exit"))
    assert (good.code, bad.code) == (0, 3)
    assert site.run(good.run_id).info.status == "FINISHED"
    assert site.run(good.run_id).data.metrics == {"answer": 42}
    assert site.run(bad.run_id).info.status == "FAILED"


def test_four_first_uses_of_one_experiment_make_one(site: Site) -> None:
    four = at_once(site, *[("run", "probe", "--experiment", "never used before")] * 4)
    assert [done.code for done in four] == [0] * 4, four
    named = [e for e in site.client.search_experiments() if e.name == "never used before"]
    assert len(named) == 1
    runs = site.client.search_runs([named[0].experiment_id])
    assert {run.info.run_id for run in runs} == {done.run_id for done in four}
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_four_first_uses_of_a_workspace_make_one_server_and_one_database(fresh: Site) -> None:
    four = at_once(fresh, *[("run", "probe")] * 4)
    assert [done.code for done in four] == [0] * 4, four
    runs = fresh.runs()
    assert {run.info.run_id for run in runs} == {done.run_id for done in four}
    assert [run.info.status for run in runs] == ["FINISHED"] * 4
    assert [run.data.metrics for run in runs] == [{"answer": 42}] * 4
    assert [path.name for path in (fresh.root / "mlruns").glob("*.db")] == ["mlflow.db"]
    assert fresh.leftovers() == []
