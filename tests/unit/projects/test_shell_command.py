"""Commands that need a shell: bash itself says what becomes of a value."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from trainer.errors import BadInput
from trainer.projects.shell_command import arguments

from unit.helpers import fails

VALUES = [
    "0.5",
    "a b",
    "",
    "it's",
    'a "b" c',
    "$(touch hit)",
    "`touch hit`",
    "; touch hit;",
    "\ntouch hit\n",
    "' && touch hit && '",
    '" && touch hit && "',
    "\\' ; touch hit #",
    "A=b",
    "*",
    "~",
    "$HOME",
    "{x}",
    "žluťoučký",
]


def bash(folder: Path, *command: str) -> list[str]:
    """What the command prints, split at null characters; `argv` in it prints the words it is given."""
    words = """argv() { printf '%s\\0' "$@"; }; """
    assert command[:2] == ("bash", "-c")
    done = subprocess.run(
        ["bash", "-c", words + command[2], *command[3:]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split("\0")[:-1]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("command", "before", "after"),
    [
        ("true && argv {x}", "", ""),
        ("true; argv --name={x}", "--name=", ""),
        ('true; argv "--name={x}"', "--name=", ""),
        ("true; argv 'a {x} b'", "a ", " b"),
        ("v=1; argv $v{x}", "1", ""),
        ('v=1; argv "$v{x}c"', "1", "c"),
        ("(argv {x}) 2>&1 | cat", "", ""),
        ("A={x} eval 'argv \"$A\"'", "", ""),
        ("argv {x}>out; cat out", "", ""),
        ("case {x} in {x}) argv {x};; *) argv;; esac", "", ""),
        ("# it's {x}\nargv {x} # {x}", "", ""),
        ('n=$(echo 1) m="$(echo "$n")"; argv {x}', "", ""),
        ("for i in 1; do argv \\\n  {x}; done", "", ""),
        ('v={x}; argv "$(printf %s. "$v")"', "", "."),
        ('argv "$(printf %s. {x})"', "", "."),
        ('argv "`printf %s. {x}`"', "", "."),
        ("f() {{ argv {x}; }}; f other", "", ""),
        ('argv "${{none:-{x}}}"', "", ""),
        ("argv {x} $@", "", ""),
        ("[[ {x} == {x} ]] && argv {x}", "", ""),
        ("cat <<< a >/dev/null; argv {x}", "", ""),
        ('true "\\$(" && argv {x}', "", ""),
        ("true \\' && argv {x}", "", ""),
    ],
)
def test_a_value_is_the_value_wherever_it_stands(
    tmp_path: Path, command: str, before: str, after: str, value: str
) -> None:
    assert bash(tmp_path, *arguments(command, {"x": value}, "It")) == [before + value + after]
    assert not (tmp_path / "hit").exists()


@pytest.mark.parametrize(
    "command",
    [
        "echo $((1 + {x}))",
        "echo $(( 2 * (1 + {x}) ))",
        "(( {x} > 1 )) && a",
        "cat <<END\n{x}\nEND",
        "echo $$${x}",
        'echo "${x}"',
        "echo $'{x}'",
    ],
)
def test_where_a_value_would_not_be_taken_as_it_is(command: str) -> None:
    with fails(
        BadInput,
        "It has {x} where bash would not take its value as it is.",
        'Put it into a variable of the shell first, v={x}; and write "$v" there.',
    ):
        arguments(command, {"x": "1"}, "It")


@pytest.mark.parametrize("command", ["a && 'b", 'a && "b', "a && $'b", "a {x} 'b\n$(", "a && {x"])
def test_what_bash_could_not_read_either_is_not_understood(command: str) -> None:
    with pytest.raises(BadInput) as caught:
        arguments(command, {"x": "1"}, "It")
    assert caught.value.message.startswith("It is invalid: ")


def test_the_braces_of_a_variable_have_to_be_doubled() -> None:
    with fails(
        BadInput,
        "It uses {HOME}, which is not one of its parameters.",
        "Write ${{HOME}} for a variable of the shell.",
    ):
        arguments("echo ${HOME}", {}, "It")
    assert arguments("echo ${{HOME}}", {}, "It")[2] == "echo ${HOME}"


@pytest.mark.parametrize(
    "command",
    [
        "a && b",
        "a || b",
        "a; b",
        "a | b",
        "a > out",
        "a 2>&1",
        "a < in",
        "a &",
        "(a)",
        "a $HOME",
        'a "$HOME"',
        "a $(b)",
        "a `b`",
        "a *.csv",
        "a [0-9].csv",
        "a ?.csv",
        "a ~/b",
        "A=1 b",
        "exec a",
        "source a",
        "exit 3",
        "a # b",
        "a\nb",
    ],
)
def test_what_needs_a_shell_goes_to_bash_as_it_is(command: str) -> None:
    assert arguments(command, {}, "It") == ("bash", "-c", command)


def test_values_are_beside_the_line() -> None:
    command = "python prep.py && python train.py --alpha {alpha} '--out={out}'"
    line = (
        """parameters=("$@"); shift $#; """
        """python prep.py && python train.py --alpha "${parameters[0]}" '--out='"${parameters[1]}"''"""
    )
    assert arguments(command, {"alpha": "0.5", "out": "a b"}, "It") == (
        "bash",
        "-c",
        line,
        "bash",
        "0.5",
        "a b",
    )
