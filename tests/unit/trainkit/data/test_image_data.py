from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image
from trainkit.data import image_data
from trainkit.data.image_data import ImageData
from trainkit.errors import InputError

COLOURS = {"blue": (0, 0, 200), "red": (200, 0, 0)}


def draw(root: Path, count: int = 10, mode: str = "RGB") -> None:
    """Pictures of their class's colour, each a little different."""
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            shade = Image.new("RGB", (12, 12), tuple(c + number for c in colour))
            shade.convert(mode).save(root / name / f"{number}.{'jpg' if mode == 'CMYK' else 'png'}")


def load(root: Path, share: float = 0.2, seed: int = 0) -> ImageData:
    return image_data.load(root, 8, share, seed, root.parent / "cache")


def test_a_flat_folder_has_its_validation_split_off(tmp_path: Path) -> None:
    draw(tmp_path / "data_2")
    data = load(tmp_path / "data_2")
    assert (data.name, data.class_names, len(data.train), len(data.validation)) == (
        "data_2", ("blue", "red"), 16, 4)  # fmt: skip
    assert np.bincount(data.validation.labels).tolist() == [2, 2]
    assert list(data.parts) == ["train", "validation"]


def test_pixels_and_labels_belong_together(tmp_path: Path) -> None:
    draw(tmp_path / "data_2")
    data = load(tmp_path / "data_2")
    for part in data.parts.values():
        shown = part.pixels()
        assert shown.shape == (len(part), 8, 8, 3)
        blue_or_red = np.where(shown[:, 0, 0, 2] > 100, 0, 1)
        assert blue_or_red.tolist() == part.labels.tolist()
        assert [data.class_names[label] for label in part.labels] == [image.label for image in part.images]
    chosen = np.array([3, 1])
    assert np.array_equal(data.train.pixels(chosen), data.train.pixels()[chosen])


def test_splits_that_are_there_are_kept(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("validation", 3), ("test", 2)):
        draw(tmp_path / "cut" / split, count)
    data = load(tmp_path / "cut", share=0.5)
    assert {split: len(part) for split, part in data.parts.items()} == {
        "train": 12,
        "validation": 6,
        "test": 4,
    }


def test_a_validation_split_is_made_of_training_images_alone(tmp_path: Path) -> None:
    draw(tmp_path / "cut" / "train", 10)
    draw(tmp_path / "cut" / "test", 2)
    data = load(tmp_path / "cut")
    assert {split: len(part) for split, part in data.parts.items()} == {
        "train": 16,
        "validation": 4,
        "test": 4,
    }
    assert all(str(image.path).startswith("test/") for image in data.parts["test"].images)


def test_the_same_seed_makes_the_same_split_and_another_one_another(tmp_path: Path) -> None:
    draw(tmp_path / "data_2", 30)
    chosen = [load(tmp_path / "data_2", seed=seed).validation.images for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_what_a_run_has_to_know_of_its_splits_is_reported(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("test", 2)):
        draw(tmp_path / "cut" / split, count)
    (tmp_path / "cut" / "docs").mkdir()
    lines = str(load(tmp_path / "cut")).splitlines()
    assert lines[1:] == [
        "Warning: not used, because it lies beside the splits: docs",
        "Warning: images that are in more than one split: 4, the first is test/blue/0.png = train/blue/0.png",
    ]


def test_what_is_white_is_reported_and_becomes_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "data_2")
    assert load(tmp_path / "data_2").white is None
    Image.fromarray(np.full((12, 12), 4000, np.uint16)).save(tmp_path / "data_2" / "red" / "x.png")
    data = load(tmp_path / "data_2")
    assert str(data).splitlines()[1:] == [
        "Warning: images converted to 8-bit RGB: 1 16-bit",
        "Warning: white is 4095 in images of integers, 1 in images of floats; --white says another value",
    ]
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "mlruns"))
    with mlflow.start_run() as run:
        image_data.log_inputs(data)
    tags = mlflow.get_run(run.info.run_id).data.tags
    assert (tags["white.integers"], tags["white.floats"]) == ("4095", "1")


def test_warnings_are_counted_in_the_log(tmp_path: Path) -> None:
    draw(tmp_path / "data_2", mode="CMYK")
    (tmp_path / "data_2" / "red" / "notes.txt").touch()
    lines = str(load(tmp_path / "data_2")).splitlines()
    assert lines[0].startswith("data_2: 2 classes, 16 train, 4 validation, digest ")
    assert lines[0].endswith("decoded")
    assert lines[1:] == [
        "Warning: files that are no images of a class: 1, the first is red/notes.txt",
        "Warning: images converted to 8-bit RGB: 20 CMYK",
    ]
    assert "pixels from the cache" in str(load(tmp_path / "data_2"))


def test_a_folder_that_cannot_be_trained_on_is_an_error(tmp_path: Path) -> None:
    draw(tmp_path / "data_2")
    (tmp_path / "data_2" / "empty").mkdir()
    with pytest.raises(InputError, match="empty has no images"):
        load(tmp_path / "data_2")


def test_weights_make_all_classes_count_the_same(tmp_path: Path) -> None:
    draw(tmp_path / "data_2")
    for number in range(8):
        (tmp_path / "data_2" / "red" / f"{number}.png").unlink()
    part = load(tmp_path / "data_2").train
    weights = image_data.class_weights(part, 2)
    counts = np.bincount(part.labels)
    assert counts[0] > counts[1]
    assert (weights * counts).tolist() == pytest.approx([len(part) / 2] * 2)


def test_the_input_of_a_run_names_every_image_and_the_folders_digest(tmp_path: Path) -> None:
    draw(tmp_path / "data_2")
    data = load(tmp_path / "data_2")
    logged = image_data.mlflow_input(data, "validation")
    assert (logged.name, logged.digest) == ("data_2", f"{data.digest}-validation")
    assert len(logged.df) == 4
    assert list(logged.df.columns) == ["path", "label", "bytes", "sha256"]
    assert image_data.mlflow_input(data, "train").digest == f"{data.digest}-train"
