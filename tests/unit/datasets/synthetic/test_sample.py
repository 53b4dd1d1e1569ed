from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from trainer.datasets.build import building
from trainer.datasets.names import DERMNET
from trainer.datasets.synthetic.sample import Sample
from trainer.datasets.validate import validate
from trainer.errors import InvalidInput

from unit.datasets.pictures import hit_everywhere, tree
from unit.helpers import fails, put


def test_four_classes_are_the_first_three_and_healthy_skin(tmp_path: Path) -> None:
    Sample(4, images=2, size=32).make(tmp_path / "demo")
    assert sorted(tree(tmp_path / "demo")) == [
        f"{label}/IMG_000{number}.jpg"
        for label in (
            "Acne_and_Rosacea",
            "Actinic_Keratosis_Basal_Cell_Carcinoma_and_other_Malignant_Lesions",
            "Atopic_Dermatitis",
            "healthy_skins",
        )
        for number in (1, 2)
    ]
    with Image.open(tmp_path / "demo" / "healthy_skins" / "IMG_0001.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 32))


def test_all_24_classes_have_dermnets_names() -> None:
    assert Sample(24, as_downloaded=True).class_names() == (*DERMNET, "healthy_skins")
    assert Sample(24).class_names()[7] == "Hair_Loss_Alopecia_and_other_Hair_Diseases"


def test_a_seed_gives_the_same_images_whatever_else_is_made(tmp_path: Path) -> None:
    Sample(3, images=2, size=32, seed=5).make(tmp_path / "one")
    Sample(3, images=2, size=32, seed=5).make(tmp_path / "two")
    Sample(5, images=3, size=32, seed=5).make(tmp_path / "more")
    Sample(3, images=2, size=32, seed=6).make(tmp_path / "other")
    one, two, more, other = (tree(tmp_path / name) for name in ("one", "two", "more", "other"))
    assert one == two
    assert one.items() <= more.items()
    assert not set(one.values()) & set(other.values())


def test_a_sample_passes_the_check_of_datasets(tmp_path: Path) -> None:
    Sample(24, images=10, size=48).make(tmp_path / "demo")
    assert validate(tmp_path / "demo", distance=2).findings == ()


def test_an_existing_dataset_is_never_touched(tmp_path: Path) -> None:
    put(tmp_path / "demo" / "healthy_skins" / "IMG_0001.jpg", "mine")
    with fails(InvalidInput, f"{tmp_path / 'demo'} exists already."):
        Sample(2, images=1, size=32).make(tmp_path / "demo")
    assert tree(tmp_path / "demo") == {"healthy_skins/IMG_0001.jpg": b"mine"}


def test_a_killed_sample_is_finished_by_the_same_command(tmp_path: Path) -> None:
    sample = Sample(2, images=3, size=16)
    sample.make(tmp_path / "expected")
    (tmp_path / "template").mkdir()
    call = "sample.Sample(2, images=3, size=16).make(root / 'demo')"
    for root in hit_everywhere(call, tmp_path / "template", tmp_path / "copies", most=12):
        if not (root / "demo").exists():
            sample.make(root / "demo")
        assert tree(root / "demo") == tree(tmp_path / "expected")
        assert not (building.workplace(root / "demo") / "files").exists()


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray]:
    """The 4 by 40 images of the default sample, shuffled, and their labels."""
    root = tmp_path_factory.mktemp("data") / "demo"
    Sample().make(root)
    paths = sorted(root.rglob("*.jpg"))
    labels = np.array([path.parent.name for path in paths])
    order = np.random.default_rng(0).permutation(len(paths))
    return np.stack([np.asarray(Image.open(path)) for path in paths])[order] / 255, labels[order]


def test_the_mean_colour_does_not_give_the_class_away(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = pixels
    colours = images.mean(axis=(1, 2))
    guess = KNeighborsClassifier(5).fit(colours[:120], labels[:120])
    assert guess.score(colours[120:], labels[120:]) < 0.6


def test_the_texture_gives_the_class_away(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = pixels
    # How much redness and brightness vary, from pixel to pixel and over ever larger cells.
    layers = np.stack([images[..., 0] - images[..., 1], images.mean(axis=-1)], axis=1)
    features = []
    for cells in (96, 48, 24, 12, 6):
        step = 96 // cells
        coarse = layers.reshape(len(layers), 2, cells, step, cells, step).mean(axis=(3, 5))
        features += [coarse.std(axis=(2, 3)), np.abs(np.diff(coarse, axis=3)).max(axis=(2, 3))]
    table = np.hstack(features)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(table[:120], labels[:120])
    assert model.score(table[120:], labels[120:]) >= 0.9
