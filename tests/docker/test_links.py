"""Which links in a dataset a container can follow: what `trainer` says before the run, and what is so."""

from __future__ import annotations

from pathlib import Path

import docker
from support import REPOSITORY
from trainer.datasets import inside
from trainer.images import spec
from trainer.projects.mounts import of_dataset
from trainer.workspace import settings
from unit.helpers import put


def test_the_links_that_are_refused_are_those_that_a_container_cannot_follow(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    put(tmp_path / "site" / "trainer.yaml")
    here = settings.find(tmp_path / "site")
    elsewhere = tmp_path / "disk" / "derm"
    for root in (here.data / "skins", elsewhere):
        put(root / "a" / "file.jpg")
        (root / "a" / "beside.jpg").symlink_to("file.jpg")
        (root / "a" / "over.jpg").symlink_to("../../" + root.name + "/a/file.jpg")
        (root / "a" / "absolute.jpg").symlink_to(root / "a" / "file.jpg")
        (root / "a" / "other.jpg").symlink_to("../../other/1.jpg")
        (root / "a" / "out.jpg").symlink_to(tmp_path / "elsewhere.jpg")
        (root / "folder").symlink_to(tmp_path / "folder")
    put(tmp_path / "elsewhere.jpg")
    put(tmp_path / "folder" / "1.jpg")
    put(here.data / "other" / "1.jpg")
    put(tmp_path / "disk" / "other" / "1.jpg")
    (here.data / "linked").symlink_to(elsewhere)

    for name in ("skins", "linked"):
        root = here.data / name
        mounts = of_dataset(here.data, name)
        mounted = inside.mounted(root, mounts)
        assert mounted
        links = [path for path in sorted(root.rglob("*")) if path.is_symlink()]
        tests = [f"[ -e /data/{path.relative_to(here.data)} ] || echo {path.name}" for path in links]
        said = client.containers.run(
            spec.chosen_base(settings.find(REPOSITORY)),
            ["sh", "-c", "; ".join(tests)],
            remove=True,
            volumes={mount.source: {"bind": mount.target, "mode": "ro"} for mount in mounts},
        )
        unreachable = [path.name for path in links if mounted.unreachable_target(str(path))]
        assert unreachable == said.decode().split()
        assert {"out.jpg", "folder"} <= set(unreachable)
        assert {"beside.jpg", "over.jpg"}.isdisjoint(unreachable)
