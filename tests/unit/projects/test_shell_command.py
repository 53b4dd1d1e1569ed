"""Commands that need a shell: bash itself says what becomes of a value."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from trainer.errors import InvalidInput
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
        InvalidInput,
        "It has {x} where bash would not take its value as it is.",
        'Put it into a variable of the shell first, v={x}; and write "$v" there.',
    ):
        arguments(command, {"x": "1"}, "It")


@pytest.mark.parametrize("command", ["a && 'b", 'a && "b', "a && $'b", "a {x} 'b\n$(", "a && {x"])
def test_what_bash_could_not_read_either_is_rejected(command: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        arguments(command, {"x": "1"}, "It")
    assert caught.value.message.startswith("It is invalid: ")


def test_the_braces_of_a_variable_have_to_be_doubled() -> None:
    with fails(
        InvalidInput,
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


SEARCH = settings(deadline=None, database=None, max_examples=100)
# Bash hands this function the words of a command that it does not find.
WORDS = r"""command_not_found_handle() { printf '%s\0' "$@"; }; """
plain = st.lists(
    st.sampled_from([*"ab'\"\\ =~#*?[]-,.!:^%@+/\t", "{{", "}}", "\\\n", "a=b", " b "]), max_size=12
).map("".join)


def asked_of_bash(*command: str) -> list[str] | None:
    """The words that it is given, None where bash takes the command for no command."""
    done = subprocess.run(
        command, env={"PATH": "/nonexistent", "HOME": "/home/me"}, capture_output=True, text=True, check=False
    )
    return done.stdout.split("\0")[:-1] if not done.stderr else None


@given(rest=plain)
@example(rest="\\\nb")
@example(rest=" 'b\\\nc'")
@example(rest="\\\n\\\n b")
@example(rest="+=")
@example(rest="[ b ]")
@SEARCH
def test_without_bash_a_command_has_the_words_that_it_has_in_bash(rest: str) -> None:
    assume(not rest.rstrip().endswith("\\"))  # such an end is left out, where bash keeps it
    try:
        words = arguments(f"a{rest}", {}, "It")
    except InvalidInput:
        words = ()
    assume(words[:1] != ("bash",))
    typed = f"a{rest}".replace("{{", "{").replace("}}", "}")
    in_bash = asked_of_bash("/bin/bash", "-c", WORDS + typed)
    assume(in_bash is not None)
    assert words == tuple(in_bash or ())


def within(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A few pieces of a command beside each other, some of them in quotes or in a command of their own."""
    forms = [
        "%s",
        '"%s"',
        "'%s'",
        '"$(show %s)"',
        '"`show %s`"',
        "(show %s)",
        "%s; show ",
        "# %s\n",
    ]
    return st.lists(st.tuples(st.sampled_from(forms), inner), min_size=1, max_size=4).map(
        lambda parts: "".join(form.replace("%s", text) for form, text in parts)
    )


bare = st.sampled_from(["{x}", "{y}", "{x}", "a", " ", " ", "\\", "=", "#", '"$v"', " && show ", "''", '"'])
pieces = st.recursive(bare, within, max_leaves=8)
hostile = st.text(st.sampled_from("a'\"\\$`();&|<>#*{} \n~!"), max_size=6)


@given(command=pieces, x=hostile, y=hostile)
@example(command='"`show #`"{x}', x="a b", y="")
@example(command='"{x}"', x=" ", y="")
@settings(SEARCH, suppress_health_check=[HealthCheck.filter_too_much])
def test_in_bash_a_value_is_what_a_plain_word_in_its_place_would_be(command: str, x: str, y: str) -> None:
    assume("{" in command and not command.endswith("\\"))
    command = f"v=1; show {command}"
    try:
        made = arguments(command, {"x": x, "y": y}, "It")
    except InvalidInput:
        assume(False)
    assert made[:2] == ("bash", "-c")
    show = """show() { builtin printf '<%s>' "$@"; }; """
    plain = command.replace("{x}", "QxQ").replace("{y}", "QyQ")
    said = [
        subprocess.run(
            ["/bin/bash", "-c", show + line, *rest],
            env={"PATH": "/nonexistent"}, capture_output=True, text=True, check=False,
        )
        for line, *rest in ([plain], made[2:], [f"IFS=Q; {plain}"])
    ]  # fmt: skip
    assume(not said[0].stderr)
    # Where bash splits what a command printed, the value is no longer in one place.
    assume(said[0].stdout == said[2].stdout)
    expected = re.sub("Q[xy]Q", lambda found: x if found[0] == "QxQ" else y, said[0].stdout)
    assert said[1].stdout == expected
    assert not said[1].stderr
