from __future__ import annotations

import io
from pathlib import Path

import mlflow
import numpy as np
import pytest
from trainkit.data import tables
from trainkit.errors import InputError
from trainkit.models import samples

ROWS = 40


@pytest.fixture
def table(tmp_path: Path) -> tables.Table:
    path = tmp_path / "secret-name.csv"
    lines = [
        f"{'' if n % 7 == 0 else n / 3},{'red' if n % 2 else 'blue'},{'yes' if n % 3 else 'no'}"
        for n in range(ROWS)
    ]
    path.write_text("\n".join(["size,colour,left", *lines]))
    return tables.load(path, validation_share=0.5, seed=0)


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an artifact is put that is logged."""
    monkeypatch.setattr(mlflow, "log_artifact", lambda path: Path(path).rename(tmp_path / samples.ARTIFACT))
    return tmp_path / samples.ARTIFACT


def test_rows_come_back_as_they_were_with_their_answers_and_what_they_are(
    table: tables.Table, logged: Path
) -> None:
    frame = samples.rows_of(table)
    answers = np.random.default_rng(0).dirichlet((1, 1), len(frame))
    samples.log_rows(table, answers)
    read = samples.read(logged.read_bytes())
    assert isinstance(read.inputs, list)
    assert len(read.inputs) == samples.MOST
    assert [row["colour"] for row in read.inputs] == list(frame["colour"])
    sizes = [np.nan if row["size"] is None else row["size"] for row in read.inputs]
    assert np.array_equal(sizes, frame["size"], equal_nan=True)
    assert np.array_equal(read.answers, answers)
    assert read.description.classes == ("no", "yes")
    assert read.description.target == "left"
    assert [column.name for column in read.description.input.columns] == ["size", "colour"]  # type: ignore[union-attr]


def test_samples_have_no_name_of_a_file(table: tables.Table, logged: Path) -> None:
    samples.log_rows(table, np.full((len(samples.rows_of(table)), 2), 0.5))
    with np.load(logged) as arrays:
        assert not any("secret-name" in str(arrays[name]) for name in arrays)


@pytest.mark.parametrize("content", [b"", b"PK no zip", None])
def test_a_damaged_artifact_is_refused(content: bytes | None) -> None:
    if content is None:
        without = io.BytesIO()
        np.savez_compressed(without, answers=np.zeros((2, 2)))
        content = without.getvalue()
    with pytest.raises(InputError, match="cannot be read"):
        samples.read(content)
