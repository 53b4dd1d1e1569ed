"""Runs made again from what was stored with them, on the real engine and server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from support import Site
from trainer.images import build
from trainer.runs.run_record import RunRecord

IMAGE = "trainer/sklearn"
READER = """\
import random, sys
from pathlib import Path
import mlflow
place, kind, weights = sys.argv[1:]
files = sorted(path for path in (Path("/data") / place).rglob("*") if path.is_file())
total = float(sum(path.read_bytes()[0] for path in files)) / 7
with mlflow.start_run():
    noise = random.random() / 100 if kind == "random" else 0
    mlflow.log_metrics({"total": total + noise, "seconds_all": random.random()})
    mlflow.log_metric("weights", len(Path(weights).read_text()))
"""
MLPROJECT = """\
name: reader
docker_env: {image: trainer/sklearn, environment: [READER_KEY]}
entry_points:
  main:
    parameters:
      data: {type: string, dataset: true, default: skins}
      kind: {type: string, default: exact}
      weights: {type: path, default: weights.txt}
    command: python reader.py {data} {kind} {weights}
"""


@pytest.fixture(scope="module")
def lab(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:  # noqa: ARG001
    """A workspace with a project that reads a dataset of four files and a file of its own."""
    site = Site(tmp_path_factory.mktemp("again"), port=5480)
    site.own_images()
    project = site.root / "train_code" / "reader"
    project.mkdir()
    (project / "MLproject").write_text(MLPROJECT)
    (project / "reader.py").write_text(READER)
    (site.root / "weights.txt").write_text("heavy")
    for place in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        path = site.root / "data" / "skins" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(place.encode())
    site.secret("READER_KEY", "key-5c1f")
    yield site
    site.trainer("server", "down")


def _git(site: Site, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=site.root, check=True, capture_output=True)


def _metrics(out: str) -> dict[str, str]:
    """By metric, what the table of `reproduce` says of it."""
    rows = [line.split() for line in out.splitlines()]
    start = next(number for number, row in enumerate(rows) if row[:1] == ["Metric"])
    table = rows[start + 1 : rows.index([], start)]
    return {row[0]: " ".join(row[4:]) for row in table}


def test_a_run_of_a_dirty_tree_is_made_again_after_tree_and_image_are_gone(
    lab: Site, client: docker.DockerClient, tmp_path: Path
) -> None:
    project = lab.root / "train_code" / "sklearn"
    _git(lab, "add", ".")
    _git(lab, "commit", "-m", "one")
    _git(lab, "remote", "add", "origin", "https://me:s3cret@git.example.com/models.git")
    script = (project / "train.py").read_text()
    (project / "train.py").write_text(
        f"from untracked import SAID\nprint(SAID)\n{script.partition('# Setup')[2]}"
    )
    (project / "untracked.py").write_text("SAID = 'from the untracked module'\n")
    first = lab.trainer("run", "sklearn", "--n-estimators", "20")
    assert first.code == 0, first.err
    assert "from the untracked module" in first.out
    (project / "untracked.py").unlink()
    (project / "train.py").write_text("raise SystemExit('another script')\n")
    old = lab.run(first.run_id)
    tag = old.data.tags["trainer.image"]
    client.api.remove_image(old.data.tags["mlflow.trainer.image_id"], force=True)

    again = lab.trainer("reproduce", "@last")
    assert again.code == 0, again.err + again.out
    # An old image that is built anew is not the newest one.
    assert build.image_id(client, f"{IMAGE}:latest") != build.image_id(client, tag)
    assert "from the untracked module" in again.out
    assert f"The image {tag} is gone; rebuilding it from the recorded lock file." in again.err
    said = _metrics(again.out)
    assert {said[name] for name in ("accuracy", "f1", "precision", "recall", "roc_auc")} == {"equal"}
    assert said["seconds_fit"] == "not compared"
    new = lab.run(again.run_id)
    assert new.info.run_id != old.info.run_id
    assert new.info.run_name == f"{old.info.run_name}-again"
    assert {name: new.data.metrics[name] for name in ("accuracy", "roc_auc")} == {
        name: old.data.metrics[name] for name in ("accuracy", "roc_auc")
    }
    tags = new.data.tags
    assert tags["trainer.reproduces"] == old.info.run_id
    assert tags["trainer.reproduced"] == "exactly"
    kept = (
        "mlflow.trainer.code_digest",
        "mlflow.source.git.commit",
        "mlflow.trainer.git_dirty",
        "mlflow.trainer.command",
        "trainer.image",
    )
    assert [tags[name] for name in kept] == [old.data.tags[name] for name in kept]
    assert tags["mlflow.source.git.repoURL"] == "https://git.example.com/models.git"
    pinned = json.loads(lab.artifact(old.info.run_id, "trainer/run.json", tmp_path).read_text())
    assert set(pinned) == set(RunRecord.__dataclass_fields__)
    assert pinned["parameters"]["n_estimators"] == {
        "value": "20", "type": "int", "origin": "command line", "in_code": None,
    }  # fmt: skip
    assert pinned["parameters"]["seed"]["origin"] == "default"
    assert pinned["git"]["dirty"] is True


def test_altered_data_is_refused_by_the_names_of_its_files_and_nothing_runs(lab: Site) -> None:
    first = lab.trainer("run", "reader", "--weights", "weights.txt")
    assert first.code == 0, first.err
    run = lab.run(first.run_id)
    digests = {item.dataset.name: item.dataset.digest for item in run.inputs.dataset_inputs}
    assert run.data.tags["trainer.dataset.skins"].startswith(digests["skins"])
    picture, weights, runs = (
        lab.root / "data" / "skins" / "b" / "1.png",
        lab.root / "weights.txt",
        len(lab.runs()),
    )
    content = picture.read_bytes()
    picture.write_bytes(b"altered")
    refused = lab.trainer("reproduce", first.run_id[:10])
    assert refused.code == 89
    digest = run.data.tags["trainer.dataset.skins"][:8]
    assert refused.err.splitlines()[-2:] == [
        "Error: skins is not what the run had: b/1.png (changed).",
        f"Hint:  Put it back as it was (digest {digest}); `trainer data diff skins {digest}` lists all.",
    ]
    # Everything that cannot be had is said at once.
    (picture.parent / "new.png").write_bytes(b"new")
    weights.write_text("light")
    (lab.root / "secrets.env").write_text("")
    refused = lab.trainer("reproduce", first.run_id, "--dry-run")
    assert refused.code == 89
    for what in ("b/1.png (changed), b/new.png (added)", f"{weights} is not what the run had", "READER_KEY"):
        assert what in refused.err
    assert len(lab.runs()) == runs
    picture.write_bytes(content)
    (picture.parent / "new.png").unlink()
    weights.write_text("heavy")
    lab.secret("READER_KEY", "key-5c1f")
    planned = lab.trainer("reproduce", first.run_id, "--dry-run", "--json")
    assert json.loads(planned.out)["image_is_here"] is True
    assert len(lab.runs()) == runs
    again = lab.trainer("reproduce", first.run_id, "--json")
    assert again.code == 0, again.err
    payload = json.loads(again.out)
    assert payload["agrees"] is True
    assert {item["name"]: item["verdict"] for item in payload["metrics"]} == {
        "total": "equal", "weights": "equal", "seconds_all": "not compared",
    }  # fmt: skip


def test_numbers_that_differ_end_with_exit_code_1_unless_they_may(lab: Site) -> None:
    first = lab.trainer("run", "reader", "--kind", "random", "--weights", "weights.txt")
    assert first.code == 0, first.err
    wrong = lab.trainer("reproduce", first.run_id, "--tolerance", "totl=1")
    assert wrong.code == 2
    assert wrong.err.endswith("Error: The run has no metric totl.\nHint:  Did you mean total?\n")
    again = lab.trainer("reproduce", first.run_id)
    assert again.code == 1
    assert _metrics(again.out)["total"] == "differs"
    assert "NOT REPRODUCED" in again.out
    assert "differs from" in again.err.splitlines()[-2]
    assert lab.run(again.run_id).data.tags["trainer.reproduced"] == "no"
    within = lab.trainer("reproduce", first.run_id, "--tolerance", "total=1%")
    assert within.code == 0, within.err
    assert _metrics(within.out)["total"] == "within tolerance"


def test_a_secret_in_a_parameter_is_not_recorded_and_so_not_given_again(lab: Site, tmp_path: Path) -> None:
    lab.secret("READER_KEY", "exact")  # the parameter's default; one that is typed is refused
    first = lab.trainer("run", "reader", "--weights", "weights.txt")
    assert first.code == 0, first.err
    output = lab.artifact(first.run_id, "trainer/run.json", tmp_path).read_text()
    assert "exact" not in output
    assert json.loads(output)["parameters"]["kind"]["value"] == "***"
    refused = lab.trainer("reproduce", first.run_id)
    lab.secret("READER_KEY", "key-5c1f")
    assert refused.code == 2
    assert "The value of the parameter kind held a secret, which was not recorded." in refused.err


def test_a_run_that_fails_again_fails_as_it_does(lab: Site) -> None:
    lab.secret("PROBE_TOKEN", "x1")
    first = lab.trainer("run", "probe", "--mode", "exit")
    assert first.code == 3
    again = lab.trainer("reproduce", first.run_id)
    assert again.code == 3
    assert lab.run(again.run_id).data.tags["trainer.reproduced"] == "no"


def test_what_a_run_of_another_users_asks_for_is_asked_of_the_user(lab: Site) -> None:
    lab.secret("PROBE_TOKEN", "x1")
    first = lab.trainer("run", "probe", "--mode", "exit")
    shutil.rmtree(lab.root / ".trainer" / "allowed")  # as in another workspace
    refused = lab.trainer("reproduce", first.run_id)
    assert refused.code == 93
    assert (
        f"The code stored with the run {first.run_id[:8]} asks to have the value of the secret PROBE_TOKEN."
        in refused.err
    )
    planned = lab.trainer("reproduce", first.run_id, "--dry-run")
    assert "have the value of the secret PROBE_TOKEN" in planned.out
    assert lab.trainer("reproduce", first.run_id, "--yes").code == 3
    assert lab.trainer("reproduce", first.run_id).code == 3


def test_a_replaced_record_gives_no_tag_to_an_image(
    lab: Site, client: docker.DockerClient, tmp_path: Path
) -> None:
    lab.secret("PROBE_TOKEN", "x1")
    first = lab.trainer("run", "probe", "--mode", "exit")
    recorded = lab.artifact(first.run_id, "trainer/run.json", tmp_path)
    payload = json.loads(recorded.read_text())
    tag, own = payload["image"]["tag"], payload["image"]["id"]
    container = client.containers.create(tag)
    other = str(container.commit().id)  # an image of this engine that has no tag
    container.remove()
    try:
        payload["image"]["id"] = other
        recorded.write_text(json.dumps(payload))
        lab.client.log_artifact(first.run_id, str(recorded), "trainer")
        wanted = f"run in the image {other}, recorded as {tag}"
        planned = lab.trainer("reproduce", first.run_id, "--dry-run", "--json")
        assert wanted in json.loads(planned.out)["asks_to"]
        refused = lab.trainer("reproduce", first.run_id)
        assert (refused.code, wanted in refused.err) == (93, True)
        allowed = lab.trainer("reproduce", first.run_id, "--yes")
        assert allowed.code == 3, allowed.err
        assert lab.run(allowed.run_id).data.tags["mlflow.trainer.image_id"] == other
        assert build.image_id(client, tag) == own
        assert client.images.get(other).tags == []
    finally:
        client.images.remove(other)


def test_an_export_is_run_with_docker_alone(lab: Site, tmp_path: Path) -> None:
    lab.secret("READER_KEY", "key-5c1f")
    first = lab.trainer("run", "reader", "--weights", "weights.txt")
    place = tmp_path / "export"
    done = lab.trainer("reproduce", first.run_id, "--export", str(place), "--with-data")
    assert done.code == 0, done.err
    assert not any(b"key-5c1f" in path.read_bytes() for path in place.rglob("*") if path.is_file())
    again = lab.trainer("reproduce", first.run_id, "--export", str(place))
    assert (again.code, again.err.splitlines()[-2]) == (2, f"Error: {place} already exists.")

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        # No PATH to trainer or its Python, no workspace, no server.
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **variables}
        environment |= {name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ}
        return subprocess.run(
            [str(place / "run.sh")], env=environment, capture_output=True, text=True, cwd="/"
        )

    missing = run()
    assert missing.returncode != 0
    assert "READER_KEY: is not set" in missing.stderr
    exported = run(READER_KEY="k")
    assert exported.returncode == 0, exported.stderr + exported.stdout
    assert exported.stdout.endswith("\nREPRODUCED\n")
    assert (place / "metrics.json").exists()
    (place / "data" / "skins" / "a" / "1.png").write_bytes(b"altered")
    altered = run(READER_KEY="k")
    assert altered.returncode == 1
    assert "data/skins/a/1.png: FAILED" in altered.stdout
