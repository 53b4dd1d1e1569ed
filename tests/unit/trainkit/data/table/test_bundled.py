from pathlib import Path
from urllib.error import URLError

import pytest
from trainkit.data import downloads, tables
from trainkit.data.table import bundled, csv_file
from trainkit.errors import InputError


@pytest.mark.parametrize(
    ("name", "rows", "classes"),
    [
        ("iris", 150, ("setosa", "versicolor", "virginica")),
        ("wine", 178, ("class_0", "class_1", "class_2")),
        ("digits", 1797, tuple("0123456789")),
        ("breast_cancer", 569, ("benign", "malignant")),
        ("diabetes", 442, ()),
    ],
)
def test_a_dataset_by_name_is_a_table(tmp_path: Path, name: str, rows: int, classes: tuple[str, ...]) -> None:
    path = downloads.find(name, tmp_path)
    table = tables.load(path, validation_share=0.25, seed=0)
    assert (table.target, table.class_names) == ("target", classes)
    assert sum(len(part) for part in table.splits.values()) == rows
    before = path.stat().st_mtime_ns
    assert downloads.find(name, tmp_path).stat().st_mtime_ns == before


def test_a_file_of_that_name_in_data_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_DATA_DIR", str(tmp_path))
    (tmp_path / "iris").write_text("a,b\n1,2\n")
    assert csv_file.header(downloads.find("iris", tmp_path / "cache")).names == ("a", "b")


def test_a_download_that_fails_is_told_in_two_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setitem(bundled.LOADERS, "california_housing", fail)
    with pytest.raises(InputError) as caught:
        downloads.find("california_housing", tmp_path)
    assert caught.value.message == "california_housing cannot be downloaded: Name or service not known."
    assert "iris, wine, digits" in caught.value.hint
