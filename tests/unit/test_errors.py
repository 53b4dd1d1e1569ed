import re
from pathlib import Path

import pytest
from trainer import errors
from trainer.errors import Interrupted, ScriptFailed, ScriptKilled, TrainerError, signal_name

DOCUMENT = Path(__file__).parents[2] / "docs" / "exit-codes.md"
PASSED_ON = {ScriptFailed, ScriptKilled}  # their code is the script's own


def kinds() -> dict[str, type[TrainerError]]:
    results = {}
    waiting = [TrainerError]
    while waiting:
        kind = waiting.pop()
        results[kind.__name__] = kind
        waiting += kind.__subclasses__()
    return {name: kind for name, kind in results.items() if kind.__module__ == errors.__name__}


def test_every_kind_of_failure_has_an_exit_code_of_its_own() -> None:
    codes = [kind.exit_code for kind in kinds().values() if kind not in PASSED_ON]
    assert len(codes) == len(set(codes)) == 21
    assert not {0, 64, 126, 127, *range(128, 256)} & set(codes)


def test_every_exit_code_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\|\s*`?(\d+)`?\s*\|", DOCUMENT.read_text(), re.MULTILINE)
    documented = {int(code) for code in rows}
    assert len(rows) == len(documented)
    own = {kind.exit_code for kind in kinds().values() if kind not in PASSED_ON}
    passed_on = {code for code in documented if code == 0 or code > 128}
    assert documented - passed_on == own
    assert 0 in documented


@pytest.mark.parametrize(("number", "name"), [(2, "SIGINT"), (9, "SIGKILL"), (50, "signal 50")])
def test_signals_have_names(number: int, name: str) -> None:
    assert signal_name(number) == name
    assert str(Interrupted(number)) == name


def test_a_scripts_own_code_is_passed_on() -> None:
    failed, killed = ScriptFailed(3, "hint"), ScriptKilled(9, "hint")
    assert (failed.exit_code, failed.message) == (3, "The training script ended with exit code 3.")
    assert (killed.exit_code, killed.message) == (137, "The training script was ended by SIGKILL.")
