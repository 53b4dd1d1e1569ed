from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from PIL import Image
from trainer.datasets.statistics import figures, summary
from trainer.errors import InvalidInput

from unit.datasets.pictures import dataset, picture
from unit.helpers import fails, put


def bars(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Three images of one class, one of another."""
    root = dataset(tmp_path / "set", {"b": 1})
    for number, size in enumerate([(10, 20), (30, 40), (500, 60)]):
        picture(root / "a" / f"{number}.png", number, size)
    return root


def test_each_class_is_counted_and_measured(site: Path) -> None:
    result = summary.measure(site)
    a, b = result.classes
    assert (a.name, a.images, a.share, a.median_size) == ("a", 3, 0.75, (30, 40))
    assert (b.name, b.images, b.share, b.median_size) == ("b", 1, 0.25, (24, 24))
    assert a.bytes == sum(path.stat().st_size for path in (site / "a").iterdir())
    assert (result.images, result.bytes, result.splits, result.unreadable) == (4, a.bytes + b.bytes, (), ())


def test_splits_are_counted(tmp_path: Path) -> None:
    result = summary.measure(dataset(tmp_path, {"train/a": 3, "val/a": 1, "train/b": 2}))
    assert result.splits == ("train", "validation")
    assert [dict(c.splits) for c in result.classes] == [
        {"train": 3, "validation": 1},
        {"train": 2, "validation": 0},
    ]


def test_an_unreadable_image_is_counted_and_named(site: Path, tmp_path: Path) -> None:
    put(site / "c" / "x.jpg", "no image")
    result = summary.measure(site)
    assert result.unreadable == ("c/x.jpg",)
    assert result.classes[2].median_size is None
    summary.draw(result, tmp_path / "out")


def test_the_pictures_are_drawn_and_replace_nothing(site: Path, tmp_path: Path) -> None:
    result = summary.measure(site)
    drawn = summary.draw(result, tmp_path / "new" / "out")
    assert [path.name for path in drawn] == ["classes.png", "contact_sheet.png"]
    for path in drawn:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert image.width > 500
    assert sorted(path.name for path in drawn[0].parent.iterdir()) == ["classes.png", "contact_sheet.png"]
    mine = put(tmp_path / "other" / "contact_sheet.png", "mine")
    for place, path in ((tmp_path / "new" / "out", drawn[0]), (mine.parent, mine), (mine, mine)):
        with fails(InvalidInput, f"{path} exists already."):
            summary.draw(result, place)
    assert mine.read_text() == "mine"
    assert not (mine.parent / "classes.png").exists()


def test_a_new_folder_is_found_for_the_pictures(site: Path, tmp_path: Path) -> None:
    assert summary.free_place(site, tmp_path) == tmp_path / "set-stats"
    (tmp_path / "set-stats").mkdir()
    put(tmp_path / "set-stats-2")
    assert summary.free_place(site, tmp_path) == tmp_path / "set-stats-3"


def test_the_balance_has_a_bar_a_class_the_largest_first(site: Path) -> None:
    axes = figures.class_balance(summary.measure(site)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [bar.get_width() for bar in bars(axes)] == [3, 1]
    assert [text.get_text() for text in axes.texts] == ["3", "75.0%", "1", "25.0%"]
    assert axes.get_title() == "set: 4 images in 2 classes"


def test_the_balance_stacks_the_splits(tmp_path: Path) -> None:
    root = dataset(tmp_path, {"train/a": 3, "val/a": 1, "train/b": 2})
    figure = figures.class_balance(summary.measure(root))
    assert [(bar.get_x(), bar.get_width()) for bar in bars(figure.axes[0])] == [
        (0, 3),
        (0, 2),
        (3, 1),
        (2, 0),
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "validation"]


def test_the_contact_sheet_has_a_row_of_images_under_each_name(site: Path) -> None:
    examples = {"a": [site / "a" / "0.png", site / "a" / "2.png"], "b": [site / "b" / "0.png"]}
    axes = figures.contact_sheet(site, examples).axes
    assert [each.get_title(loc="left") for each in axes] == ["a", "b"]
    rows = [np.asarray(each.images[0].get_array()) for each in axes]
    assert {row.shape for row in rows} == {(128, 262, 3)}
    assert rows[0][:, 134:].std() > 10
    assert (rows[1][:, 128:] == 255).all()  # b has one image only


def test_an_unreadable_image_is_a_blank_in_the_contact_sheet(site: Path) -> None:
    path = put(site / "a" / "x.jpg", "no image")
    strip = np.asarray(figures.contact_sheet(site, {"a": [path]}).axes[0].images[0].get_array())
    assert (strip == 235).all()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Short", "Short"),
        ("a" * 44, "a" * 44),
        (
            "Actinic_Keratosis_Basal_Cell_Carcinoma_and_other_Malignant_Lesions",
            "Actinic_Keratosis_Basal_Cell_Carcinoma_and_\nother_Malignant_Lesions",
        ),
        (
            "Actinic Keratosis Basal Cell Carcinoma and other Malignant Lesions",
            "Actinic Keratosis Basal Cell Carcinoma and\nother Malignant Lesions",
        ),
    ],
)
def test_a_long_name_is_broken_between_words_and_loses_no_letter(name: str, shown: str) -> None:
    assert figures.wrapped(name) == shown


def test_names_that_look_like_mathematics_and_many_classes_can_be_drawn(tmp_path: Path) -> None:
    root = dataset(tmp_path / "a $x$", {f"${number}^{{$_日本": 1 for number in range(8)})
    for path in summary.draw(summary.measure(root), tmp_path / "out"):
        with Image.open(path) as image:
            assert max(image.size) < 2**16
