from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from support import REPOSITORY
from trainkit.errors import InputError
from trainkit.inference.description import (
    KEY,
    Category,
    Date,
    Description,
    Images,
    Index,
    Number,
    OneHot,
    Scaled,
    Table,
    parse,
    read,
)

from unit.trainkit.inference.models import image_description, write_colours

COLUMNS = (
    Number(name="age"),
    Date(name="since", format="%d.%m.%Y"),
    Category(name="plan", values=("001", "nan", "é")),
    Category(name="code", values=(1.0, 2.5)),
)
ENCODING = (
    Scaled(column="age", missing=0.1, mean=1 / 3, deviation=1e-300),
    Scaled(column="since", mean=1.7e9, deviation=86400.5),
    OneHot(column="plan", categories=("001", None), rare=("é",)),
    Index(column="code", categories=(1.0, 2.5, None)),
)


def table_description(**changed: object) -> Description:
    values: dict[str, object] = {
        "task": "regression",
        "target": "price",
        "input": Table(columns=COLUMNS, encoding=ENCODING),
        "output": "price",
        "framework": "scikit-learn 1.9",
        "run_id": "1" * 32,
    }
    return Description.model_validate(values | changed)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    written = image_description(input=Images(size=8, layout="NCHW", white_integers=4095))
    assert read(write_colours(tmp_path / "m.onnx", written)) == written


def test_no_number_and_no_word_is_another_one_afterwards() -> None:
    written = table_description()
    assert parse({KEY: written.text()}) == written
    encoding = parse({KEY: written.text()}).input
    assert isinstance(encoding, Table)
    assert encoding.encoding == ENCODING
    assert encoding.width == 2 + 3 + 1


def refusal(text: str) -> InputError:
    with pytest.raises(InputError) as refused:
        parse({KEY: text}, "m.onnx")
    return refused.value


def test_a_file_without_a_description_is_refused() -> None:
    with pytest.raises(InputError, match="does not say what it takes") as refused:
        parse({}, "m.onnx")
    assert refused.value.hint == "Use a model that `trainer models register` has exported."


def test_a_description_of_another_version_is_refused_and_says_what_is_wrong() -> None:
    text = image_description().text()
    assert "version: Input should be 1" in refusal(text.replace('"version":1', '"version":2')).message
    assert "mood: Extra inputs are not permitted" in refusal(text[:-1] + ',"mood":1}').message
    assert "Invalid JSON" in refusal("{").message


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"task": "classification", "classes": ("a",)}, "two classes or more"),
        ({"task": "classification", "classes": ("a", "b", "a")}, "class 'a' is there twice"),
        ({"classes": ("a", "b")}, "a regression has no classes"),
        ({"input": {"kind": "table", "columns": []}}, "at least 1 item"),
    ],
)
def test_a_description_that_contradicts_itself_cannot_be_made(
    changed: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        table_description(**changed)


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        (Scaled(column="size", mean=0, deviation=1), "'size', which is no column"),
        (Scaled(column="plan", mean=0, deviation=1), "category 'plan' cannot be scaled"),
        (OneHot(column="age", categories=("1",)), "number 'age' cannot be one_hot"),
        (OneHot(column="plan", categories=()), "gives no number"),
    ],
)
def test_an_encoding_fits_its_columns(encoding: Scaled | OneHot, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Table(columns=COLUMNS, encoding=(encoding,))


def test_a_category_becomes_one_number_only() -> None:
    with pytest.raises(ValidationError, match="category None is there twice"):
        OneHot(column="plan", categories=("a", None), rare=(None,))
    with pytest.raises(ValidationError, match="deviation of 0"):
        Scaled(column="age", mean=0, deviation=0)


def test_inference_needs_no_framework_no_mlflow_and_no_pandas() -> None:
    folder = REPOSITORY / "trainer_images" / "trainkit"
    modules = [
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for path in (folder / "trainkit" / "inference").glob("*.py")
    ]
    imports = "\n".join(f"import {module}" for module in modules)
    script = f"import sys\n{imports}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    output = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(folder)}, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    imported = set(output.split())
    assert "onnxruntime" in imported
    forbidden = {"pandas", "sklearn", "mlflow", "scipy", "tensorflow", "keras", "torch", "onnx", "trainer"}
    assert imported & forbidden == set()


@pytest.mark.parametrize(("chosen", "sent"), [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")])
def test_onnx_runtime_sends_nobody_what_it_runs_unless_that_was_asked_for(
    chosen: dict[str, str], sent: str
) -> None:
    # What it reads as it is imported: `ctypes` and not `os.environ`, since it is no Python.
    script = (
        "import ctypes\nimport trainkit.inference.onnx_file\ngetenv = ctypes.CDLL(None).getenv\n"
        "getenv.restype = ctypes.c_char_p\nprint(getenv(b'ORT_DISABLE_TELEMETRY').decode())"
    )
    output = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(REPOSITORY / "trainer_images" / "trainkit"), **chosen},
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert output == f"{sent}\n"
