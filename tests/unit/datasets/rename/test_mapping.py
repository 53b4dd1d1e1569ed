import os
from pathlib import Path

import pytest
from trainer.datasets.rename import mapping
from trainer.errors import InvalidInput

from unit.helpers import fails, put


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.yaml", "Eczema Photos: Eczema\n# a remark\n'Acne: and Rosacea': 'no'\n"),
        ("names.csv", 'Eczema Photos, Eczema\n\n"Acne: and Rosacea",no\n'),
        ("NAMES.CSV", "\ufeffOld,New\nEczema Photos,Eczema\nAcne: and Rosacea,no\n"),
    ],
)
def test_yaml_and_csv_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    result = mapping.read(put(tmp_path / name, text))
    assert result == {"Eczema Photos": "Eczema", "Acne: and Rosacea": "no"}


def test_an_empty_file_names_nothing(tmp_path: Path) -> None:
    assert mapping.read(put(tmp_path / "names.yaml", "# nothing yet\n")) == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("names.yaml", "a: b\na: c\n", "{} gives 'a' two names: 'b' and 'c'."),
        ("names.csv", "a,b\na,c\n", "{} gives 'a' two names: 'b' and 'c'."),
        ("names.yaml", "- a\n- b\n", "{} is not a mapping."),
        ("names.yaml", "x: y\na: [b]\n", "{}, line 2: this is not `old name: new name`."),
        ("names.yaml", "x: y\na: b: c\n", "{} is not valid YAML: line 2"),
        ("names.csv", "x,y\na,b,c\n", "{}, line 2: 3 columns instead of two."),
    ],
)
def test_a_wrong_file_is_named_with_the_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = put(tmp_path / name, text)
    with fails(InvalidInput, message.format(path)):
        mapping.read(path)


@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "names.yaml")
    with fails(InvalidInput, f"{tmp_path / 'names.yaml'} is not a file."):
        mapping.read(tmp_path / "names.yaml")


def test_a_file_that_is_not_there_or_no_text_is_reported(tmp_path: Path) -> None:
    with fails(InvalidInput, f"There is no mapping file {tmp_path / 'names.yaml'}."):
        mapping.read(tmp_path / "names.yaml")
    with pytest.raises(InvalidInput, match="cannot be read"):
        mapping.read(put(tmp_path / "names.csv", b"\xff\xfe\x00"))
