"""The deep-learning projects, as a user runs them: in containers, on a synthetic dataset, on the CPU."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import NotFound
from mlflow.entities import Run
from support import REPOSITORY, Site

CLASSES = 4
IMAGES = 40
FIRST_EPOCH = re.compile(r"^epoch +1/", re.MULTILINE)
EVERY_RUN = {
    "confusion_matrix.png", "roc_curve.png", "worst_mistakes.png", "curves.png", "report_validation.json",
    "report_validation.csv", "predictions_validation.csv", "train.log", "trainer",
}  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace with the repository's own projects and a dataset of four classes."""
    site = Site(tmp_path_factory.mktemp("lab"), port=5340)
    site.own_images()
    shutil.rmtree(site.root / "train_code")
    shutil.copytree(REPOSITORY / "train_code", site.root / "train_code", symlinks=True)
    made = site.trainer("data", "sample", "data_4", "--classes", str(CLASSES), "--images", str(IMAGES))
    assert made.code == 0, made.err
    yield site
    site.trainer("server", "down")


def finished(lab: Site, *arguments: str) -> Run:
    """The run that `trainer run ARGUMENTS` makes, with everything that each of these projects leaves."""
    done = lab.trainer("run", *arguments, timeout_s=1500)
    assert done.code == 0, done.err + done.out
    run = lab.run(done.run_id)
    assert run.info.status == "FINISHED"
    artifacts = {file.path for file in lab.client.list_artifacts(done.run_id)}
    assert artifacts >= EVERY_RUN
    assert {dataset.dataset.name for dataset in run.inputs.dataset_inputs} == {"data_4"}
    assert len(run.outputs.model_outputs) == 1
    metrics = run.data.metrics
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "validation_accuracy", "validation_f1"} <= set(
        metrics
    )
    assert any(name.startswith("system/cpu") for name in metrics)
    assert any(name.startswith("system/container_memory") for name in metrics)
    return run


def epochs(lab: Site, run: Run) -> int:
    return len(lab.client.get_metric_history(run.info.run_id, "val_accuracy"))


def losses(lab: Site, run: Run) -> list[tuple[int, str]]:
    """Of both phases, to the last bit."""
    points = lab.client.get_metric_history(run.info.run_id, "val_loss")
    return sorted((point.step, point.value.hex()) for point in points)


def test_the_small_network_learns_the_synthetic_classes(lab: Site, tmp_path: Path) -> None:
    run = finished(lab, "tensorflow")
    assert run.data.metrics["validation_accuracy"] >= 0.9
    report = json.loads(lab.artifact(run.info.run_id, "report_validation.json", tmp_path).read_text())
    assert len(report["classes"]) == CLASSES
    with lab.artifact(run.info.run_id, "predictions_validation.csv", tmp_path).open() as file:
        predictions = list(csv.DictReader(file))
    right = sum(row["true"] == row["predicted"] for row in predictions)
    assert right / len(predictions) == pytest.approx(run.data.metrics["validation_accuracy"])
    log = lab.log(run.info.run_id, tmp_path)
    assert FIRST_EPOCH.search(log)
    assert "Traceback" not in log


def test_a_finished_model_is_trained_further(lab: Site, tmp_path: Path) -> None:
    first = finished(lab, "tensorflow", "--epochs", "2", "--image-size", "32")
    model = ["--warm-start", first.info.run_id[:8]]
    second = finished(lab, *model, "--epochs", "1")
    assert second.data.params == {**first.data.params, "epochs": "1"}
    assert second.data.tags["trainer.warm_start"] == first.info.run_id
    assert f"{first.info.run_id[:8]}" in lab.trainer("show", second.info.run_id[:8]).out
    assert "warm start: the weights of the run" in lab.log(second.info.run_id, tmp_path)
    before, after = (
        [point.value for point in lab.client.get_metric_history(run.info.run_id, "loss")]
        for run in (first, second)
    )
    assert after[0] < before[0]
    refused = lab.trainer("run", "efficientnetb0", *model)
    assert refused.code == 1
    assert "The model has other layers than that of the earlier run: " in refused.out


def test_a_run_is_made_again_to_the_last_bit_and_not_with_an_altered_picture(
    lab: Site, client: docker.DockerClient
) -> None:
    first = finished(lab, "tensorflow", "--epochs", "2", "--deterministic")
    script = lab.root / "train_code" / "tensorflow" / "train.py"
    written = script.read_text()
    script.write_text("raise SystemExit('another script')\n")
    with contextlib.suppress(NotFound):  # to the `trainer gc` of another test it is an old one
        client.api.remove_image(first.data.tags["mlflow.trainer.image_id"], force=True)
    picture = next((lab.root / "data" / "data_4").rglob("*.jpg"))
    content = picture.read_bytes()
    picture.write_bytes(content + b"\0")
    refused = lab.trainer("reproduce", "@last")
    assert refused.code == 89
    assert f"{picture.relative_to(lab.root / 'data' / 'data_4')} (changed)" in refused.err
    picture.write_bytes(content)
    again = lab.trainer("reproduce", "@last", "--json", timeout_s=1500)
    script.write_text(written)
    assert again.code == 0, again.err + again.out
    payload = json.loads(again.out)
    verdicts = {item["name"]: item["verdict"] for item in payload["metrics"]}
    assert {verdicts[name] for name in ("loss", "val_loss", "accuracy", "validation_log_loss")} == {"equal"}
    assert set(verdicts.values()) == {"equal", "not compared"}
    assert lab.run(payload["run_id"]).data.tags["trainer.reproduces"] == first.info.run_id


def test_transfer_learning_in_two_phases_and_a_second_run_that_finds_the_features(lab: Site) -> None:
    # The cache outlives the tests: random weights of a seed that no earlier run had are not in it.
    seed = str(secrets.randbelow(2**31))
    arguments = ["inceptionv3", "--epochs", "2", "--data", "data_4", "--weights", "none", "--seed", seed]
    arguments += ["--deterministic", "--image-size", "75"]
    first = finished(lab, *arguments)
    assert epochs(lab, first) >= 2
    assert first.data.tags["features"] == "computed"
    second = finished(lab, *arguments)
    assert second.data.tags["features"] == "from the cache"
    assert second.data.metrics["seconds_features"] < first.data.metrics["seconds_features"] / 5
    assert losses(lab, second) == losses(lab, first)


def test_another_backbone_is_the_same_code(lab: Site) -> None:
    run = finished(lab, "efficientnetb0", "--epochs", "1", "--fine-tune-epochs", "1", "--weights", "none")
    assert epochs(lab, run) == 2
    theirs, ours = (
        REPOSITORY / "train_code" / name / "train.py" for name in ("inceptionv3", "efficientnetb0")
    )
    assert ours.is_symlink()
    assert ours.resolve() == theirs


def test_a_network_written_as_a_list_of_layers(lab: Site) -> None:
    run = finished(lab, "pytorch_layers", "--epochs", "2")
    assert epochs(lab, run) == 2
    artifacts = {file.path for file in lab.client.list_artifacts(run.info.run_id)}
    assert {"model.onnx", "model.pt"} <= artifacts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tensorflow", "--data", "data_5"), "--data names data_5, which is not in"),
        (("inceptionv3", "--weights", "none", "--unfreeze-from", "mixed99"), "no block mixed99"),
    ],
)
def test_bad_input_is_one_clear_error_before_the_first_epoch(
    lab: Site, arguments: tuple[str, ...], message: str
) -> None:
    done = lab.trainer("run", *arguments, timeout_s=300)
    assert done.code != 0
    assert message in done.err + done.out
    assert "Traceback" not in done.err + done.out
    assert not FIRST_EPOCH.search(done.out)


def test_data_that_cannot_be_trained_on_is_reported_before_the_first_epoch(lab: Site) -> None:
    """One of the faults; tests/inside has each of them in each project."""
    shutil.copytree(lab.root / "data" / "data_4", lab.root / "data" / "broken")
    picture = next((lab.root / "data" / "broken").rglob("*.jpg"))
    picture.write_bytes(picture.read_bytes()[:600])
    done = lab.trainer("run", "tensorflow", "--data", "broken", timeout_s=300)
    assert done.code == 1
    assert "1 of 160 images cannot be read" in done.out
    assert "Hint:" in done.out
    assert "Traceback" not in done.out
    assert not FIRST_EPOCH.search(done.out)
