from dataclasses import dataclass
from pathlib import Path

import pytest
from trainkit.arguments import read_arguments


@dataclass(frozen=True)
class Arguments:
    data: Path
    n_estimators: int
    test_size: float
    name: str


GOOD = ["--data", "d", "--n-estimators", "3", "--test-size", "0.5", "--name", "7"]


def test_each_value_has_the_type_of_its_field() -> None:
    assert read_arguments(Arguments, GOOD) == Arguments(Path("d"), 3, 0.5, "7")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (GOOD[:-2], "required: --name"),
        ([*GOOD, "--nmae", "x"], "unrecognized arguments: --nmae"),
        ([*GOOD, "--n-estimators", "many"], "argument --n-estimators: invalid int value: 'many'"),
        ([*GOOD[:-2], "--nam", "x"], "required: --name"),
    ],
)
def test_a_wrong_command_line_is_named_and_exits_with_2(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        read_arguments(Arguments, argv)
    assert message in capsys.readouterr().err


def test_a_bool_is_refused_because_any_text_would_be_true() -> None:
    @dataclass
    class Switches:
        augment: bool

    with pytest.raises(TypeError, match="augment: use one of"):
        read_arguments(Switches, ["--augment", "false"])
