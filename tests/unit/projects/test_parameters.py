import os
from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.projects.parameters import Parameter, check_text, check_value, nearest

from unit.helpers import fails


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", ""),
        ("string", "anything; at all\n"),
        ("int", "-5"),
        ("int", "12345678901234567890"),
        ("float", "1e-3"),
        ("float", "3"),
        ("float", "inf"),
        ("float", "nan"),
        ("uri", "s3://bucket/key"),
        ("uri", "models:/forest/1"),
    ],
)
def test_a_value_of_its_type_passes(kind: str, value: str) -> None:
    check_value(Parameter("x", kind), value)


@pytest.mark.parametrize(
    ("kind", "value", "hint"),
    [
        ("int", "many", "Pass a whole number."),
        ("int", "", "Pass a whole number."),
        ("int", "1.5", "Pass a whole number."),
        ("int", "1e3", "Pass a whole number."),
        ("float", "banana", "Pass a number."),
        ("float", "1,5", "Pass a number."),
        ("uri", "bucket/key", "Pass a URI such as s3://bucket/key."),
        ("uri", "", "Pass a URI such as s3://bucket/key."),
    ],
)
def test_a_wrong_value_is_named_with_its_parameter_and_type(kind: str, value: str, hint: str) -> None:
    with fails(InvalidInput, f"--max-depth is {value!r}, which is not of type {kind}.", hint):
        check_value(Parameter("max_depth", kind), value)


def test_the_hint_names_bounds_and_default() -> None:
    share = Parameter("share", "float", default="0.25", minimum=0.05, maximum=0.5)
    with fails(InvalidInput, "--share is 'x', which is not of type float.",
               "Pass a number, 0.05 at least, 0.5 at most; the default is 0.25."):  # fmt: skip
        check_value(share, "x")


@pytest.mark.parametrize("value", ["0", "0.5", "1", "-0.0"])
def test_bounds_belong_to_the_range(value: str) -> None:
    check_value(Parameter("x", "float", minimum=0, maximum=1), value)


@pytest.mark.parametrize("value", ["-0.001", "1.001", "inf", "-inf", "nan", "NaN", "1e400"])
def test_out_of_range_is_refused_infinity_and_nan_included(value: str) -> None:
    with fails(
        InvalidInput, f"--x is {value}, which is out of range.", "Pass a number, 0 at least, 1 at most."
    ):
        check_value(Parameter("x", "float", minimum=0, maximum=1), value)


@pytest.mark.parametrize(("minimum", "maximum"), [(0, None), (None, 0)])
def test_nan_is_refused_by_a_single_bound(minimum: float | None, maximum: float | None) -> None:
    with fails(InvalidInput, "--x is nan, which is out of range."):
        check_value(Parameter("x", "float", minimum=minimum, maximum=maximum), "nan")


def test_a_large_whole_number_is_compared_exactly() -> None:
    with fails(InvalidInput, "--x is 9007199254740993, which is out of range."):
        check_value(Parameter("x", "int", maximum=9007199254740992), "9007199254740993")


def test_choices() -> None:
    kind = Parameter("kind", choices=("tree", "line"))
    check_value(kind, "line")
    with fails(InvalidInput, "--kind is 'tre', which is not one of its choices.", "Did you mean tree?"):
        check_value(kind, "tre")
    with fails(InvalidInput, "--kind is 'x', which is not one of its choices.", "They are tree, line."):
        check_value(kind, "x")


def test_a_path_must_be_there(tmp_path: Path) -> None:
    check_value(Parameter("data", "path"), str(tmp_path))
    gone = tmp_path / "gone"
    with fails(InvalidInput, f"--data names {gone}, which is not there.", "Specify a file or folder."):
        check_value(Parameter("data", "path"), str(gone))


def test_the_nearest_name_or_all_of_them() -> None:
    assert nearest("epoch", ["epochs", "rate"], "They are") == "Did you mean epochs?"
    assert nearest("zzz", ["epochs", "rate"], "They are") == "They are epochs, rate."


def test_bytes_that_are_no_utf8_are_refused_and_not_changed() -> None:
    check_text("note", "café \U0001f414")
    with fails(
        InvalidInput,
        "The value of note is not UTF-8: b'caf\\xe9'",
        "Pass it in UTF-8; rename a file whose name is not.",
    ):
        check_text("note", os.fsdecode(b"caf\xe9"))
