import json
from dataclasses import replace

import pytest
from trainkit.data.datasets import LabelledTable, load_bundled, mlflow_input


@pytest.fixture(scope="module")
def cancer() -> LabelledTable:
    return load_bundled("breast_cancer")


def test_labels_are_names_and_agree_with_the_known_class_sizes(cancer: LabelledTable) -> None:
    assert cancer.target.value_counts().to_dict() == {"benign": 357, "malignant": 212}
    assert cancer.class_names == ["benign", "malignant"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("digits", "digits: 1797 samples, 64 features, 10 classes, digest e540207f"),
        ("breast_cancer", "breast_cancer: 569 samples, 30 features, 2 classes, digest 35946520"),
    ],
)
def test_the_digest_is_that_of_every_other_machine(name: str, line: str) -> None:
    assert str(load_bundled(name)) == line


def test_the_digest_follows_names_values_and_labels(cancer: LabelledTable) -> None:
    value = cancer.features.copy()
    value.iloc[0, 0] += 1e-9
    column = cancer.features.rename(columns={"mean radius": "radius"})
    label = cancer.target.copy()
    label.iloc[0] = "benign"
    digests = {
        cancer.digest,
        replace(cancer, features=value).digest,
        replace(cancer, features=column).digest,
        replace(cancer, target=label).digest,
    }
    assert len(digests) == 4
    assert replace(cancer, features=cancer.features.copy()).digest == cancer.digest


def test_the_mlflow_input_says_what_and_where_from(cancer: LabelledTable) -> None:
    entry = mlflow_input(cancer).to_dict()
    assert (entry["name"], entry["digest"]) == ("breast_cancer", cancer.digest)
    assert json.loads(entry["profile"])["num_rows"] == 569
    assert "sklearn.datasets.load_breast_cancer" in entry["source"]
    assert '"name": "target"' in entry["schema"]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no bundled dataset 'iris': choose from breast_cancer, digits"):
        load_bundled("iris")
