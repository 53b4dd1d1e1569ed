"""Images that are built twice and compared, with the real BuildKit."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import docker
from support import Result, Site
from trainer.images import spec, trainer_image
from trainer.workspace import settings


def _check(site: Site, root: Path, *arguments: str) -> Result:
    return site.trainer(
        "--workspace", str(root), "build-image", "test-parent", "--check-reproducible", *arguments
    )


def _step(root: Path, command: str, image: str = "test-parent") -> None:
    """Let the build of the images run a command of its own."""
    dockerfile = root / "trainer_images" / "Dockerfile"
    output = dockerfile.read_text()
    assert "\nUSER 1000:1000\n" in output
    dockerfile.write_text(
        output.replace(
            "\nUSER 1000:1000\n", f'\nRUN [ "$IMAGE" != {image} ] || {{ {command}; }}\nUSER 1000:1000\n'
        )
    )


def _tags(client: docker.DockerClient) -> list[str]:
    """The tags of these tests' images, and the ids of trainer images without any. Others may be at work."""
    result = client.images.list(filters={"label": spec.DIGEST_LABEL})
    named = [tag for image in result for tag in image.tags or [str(image.id)]]
    return sorted(tag for tag in named if tag.startswith(("trainer/test-", "sha256:")))


def _state(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".trainer").rglob("*"))


def test_an_image_that_comes_out_the_same_says_so(
    small: Path, site: Site, client: docker.DockerClient
) -> None:
    assert site.trainer("--workspace", str(small), "build-image", "test-parent").code == 0
    here = settings.find(small)
    present = client.api.inspect_image(trainer_image.plan(here, spec.spec(here, "test-parent")).tag)["Id"]
    before = _tags(client), _state(small)
    done = _check(site, small)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        f"test-parent: two builds are one image, bit for bit: {present.removeprefix('sha256:')[:12]}",
        "The image that is there is the same",
    ]
    assert (_tags(client), _state(small)) == before


def test_an_image_with_the_same_files_in_other_layers_is_distinguished_from_another_one(
    small: Path, site: Site
) -> None:
    assert site.trainer("--workspace", str(small), "build-image", "test-parent").code == 0
    here = settings.find(small)
    tag = trainer_image.plan(here, spec.spec(here, "test-parent")).tag
    for step, said in (
        ("chmod 755 /etc", "has the same files, in other layers"),
        ("touch /etc/x", "is another"),
    ):
        recipe = f"FROM {tag}\nUSER 0\nRUN {step}\nUSER 1000:1000\n"
        subprocess.run(
            ["docker", "buildx", "build", "--load", "--tag", tag, "-"],
            input=recipe, text=True, check=True, capture_output=True,
        )  # fmt: skip
        done = _check(site, small)
        assert done.code == 0, done.err
        assert done.out.splitlines()[1].startswith(f"The image that is there {said}: ")


def test_what_differs_is_named(small: Path, site: Site, client: docker.DockerClient) -> None:
    _step(
        small,
        "date +%N > /etc/built; touch /etc/$(date +%N)-made; echo same > /etc/same; "
        "ln -s $(date +%N) /etc/linked; touch /etc/owned /etc/mode; chown 1$(date +%N) /etc/owned; "
        "chmod $(date +%N | tr 89 67 | cut -c 4-6) /etc/mode",
    )
    before = _tags(client)
    done = _check(site, small)
    assert done.code == 89
    assert done.err.splitlines()[-2] == "Error: Built twice, test-parent differ."
    assert _tags(client) == before
    title, *differences = done.out.splitlines()
    assert title == "test-parent: two builds differ in 6 places"
    result = dict(line.strip().split("  ", 1) for line in differences)
    made = [result.pop(path) for path in list(result) if path.endswith("-made")]
    assert sorted(made) == ["only in the first build", "only in the second build"]
    for path, what in (("built", "content"), ("linked", "link "), ("owned", "owner "), ("mode", "mode ")):
        assert result.pop(f"/etc/{path}").startswith(what)
    assert result == {}


def test_when_files_were_written_is_no_difference(small: Path, site: Site) -> None:
    dockerfile = small / "trainer_images" / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "RUN echo hello > /tmp/hello\n")
    done = _check(site, small, "--json")
    assert done.code == 0, done.err
    (verdict,) = json.loads(done.out)
    assert (verdict["equal"], verdict["identical"], verdict["differences"]) == (True, False, [])


def test_a_child_is_compared_on_the_parent_that_is_there(
    small: Path, site: Site, client: docker.DockerClient
) -> None:
    _step(small, "date +%N > /etc/built")  # of the parent alone, which is built once
    done = site.trainer("--workspace", str(small), "build-image", "test-child", "--check-reproducible")
    assert done.code == 0, done.err + done.out
    assert [tag for tag in _tags(client) if "test-child" in tag] == []
    assert len([tag for tag in _tags(client) if "test-parent" in tag]) == 2


def test_the_builds_are_shown_and_not_made(small: Path, site: Site, client: docker.DockerClient) -> None:
    before = _tags(client)
    done = _check(site, small, "--dry-run")
    assert done.code == 0
    assert [line.count("--no-cache") for line in done.out.splitlines()] == [1, 1]
    assert _tags(client) == before


def test_ctrl_c_in_the_second_build_leaves_nothing(
    small: Path, site: Site, client: docker.DockerClient
) -> None:
    # Another step each time: one that the engine has cached prints nothing.
    _step(small, f"echo {time.time_ns()} reached-$((1 + 1)); sleep 4")
    before = _tags(client)
    build = ("build-image", "test-parent", "--check-reproducible", "--progress", "plain")
    process = site.start("--workspace", str(small), *build)
    assert process.stderr
    for _ in range(2):
        assert any("reached-2" in line for line in process.stderr)
    assert _tags(client) != before
    done, _ = site.stop(process, signal.SIGINT)
    assert done.code == 130
    assert _tags(client) == before


def test_the_sklearn_image_comes_out_the_same(site: Site) -> None:
    done = site.trainer("build-image", "sklearn", "--check-reproducible")
    assert done.code == 0, done.out + done.err
    assert done.out.splitlines()[0].startswith("sklearn: two builds are one image, bit for bit: ")
    # Its layers may be packed in another way: the tests before this one removed images that had them.
    same = "The image that is there is the same", "The image that is there has the same files"
    assert done.out.splitlines()[1].startswith(same)
