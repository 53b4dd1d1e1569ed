"""What the command of an entry point comes to: words without a shell, or a line for bash.

MLflow hands every command to bash. Here only what needs it goes there, so that a plain command needs no bash
in its image. Bash gets the parameters' values beside the line and not in it, so that none of them is code.
"""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Iterable, Iterator, Mapping

from trainer.errors import InvalidInput
from trainer.projects.parameters import nearest

BASH = ("bash", "-c")

_SINGLE, _DOUBLE, _ESCAPED = r"'[^']*'", r'"(?:\\[\s\S]|[^"\\])*"', r"\\[\s\S]"
# What bash alone understands, where no quotes hide it; only single ones hide a variable.
_VARIABLE = re.compile(r"[$`]")
_SYNTAX = re.compile(
    r"[<>|&;()*?\n]|\[[^\]\s]+\]|(?:^|\s)[#~]|\{\{.*?(?:,|\.\.).*?\}\}"
    r"|^(?:\w+(?:\+?=|\[)|(?:[!.:]|command|eval|exec|exit|source|time)(?:\s|$))"
)

# The values are in an array, and "$@" is as empty as if there were none: functions have their own.
_TAKE_VALUES = 'parameters=("$@"); shift $#; '
_FIELD = "\0"
_CHARACTER = re.compile(r"[\s\S]")
_TOKEN = re.compile(r"\$\(\(|\(\(|\$\(|\$'|<<<|<<|\\[\s\S]|[\s\S]")
# What a field can be within, and what ends it; nothing here ends a here-document.
_ENDS = {"'": "'", "$'": "'", '"': '"', "`": "`", "(": ")", "((": ")", "#": "\n", "<<": ""}
# By the innermost of them: how a value stays one word, or a part of the word that it stands in.
_FORMS = {"": '"{}"', "(": '"{}"', "`": '"{}"', '"': "{}", "'": "'\"{}\"'", "#": "{}"}
_NOT_WITHIN = {"((", "<<", "$'"}


def arguments(command: str, values: Mapping[str, str], where: str) -> tuple[str, ...]:
    """The argument vector, with the values in the command's `{parameter}` fields.

    Raises `InvalidInput`, beginning with `where`, for a command that is invalid, has a field that is not
    in `values`, or has one where bash could take its value for code.
    """
    command = _without_end(command.strip())
    joined = _joined(command)
    needs_bash = _needs_bash(joined)
    try:
        if _FIELD in command:
            raise ValueError("it has a null character")
        fields = list(_fields(command if needs_bash else joined))
        template = "".join(text + (_FIELD if name is not None else "") for text, name in fields)
        words = () if needs_bash else shlex.split(template)
    except ValueError as error:
        raise InvalidInput(f"{where} is invalid: {error}.", "Balance its quotes and braces.") from None
    names = [name for _, name in fields if name is not None]
    for name in names:
        if name not in values:
            hint = nearest(name, sorted(values), "Its parameters are") if values else "Declare it."
            if f"${{{name}}}" in command:
                hint = f"Write ${{{{{name}}}}} for a variable of the shell."
            raise InvalidInput(f"{where} uses {{{name}}}, which is not one of its parameters.", hint)
    if not needs_bash:
        remaining = iter(names)
        return tuple(re.sub(_FIELD, lambda _: values[next(remaining)], word) for word in words)
    line = "".join(_quoted(template, names, where))
    return (*BASH, _TAKE_VALUES + line, "bash", *(values[name] for name in names)) if names else (*BASH, line)


def _fields(text: str) -> Iterator[tuple[str, str | None]]:
    """Each literal text, and the name in braces after it: all that is in them, dots and colons too."""
    for literal, name, form, conversion in string.Formatter().parse(text):
        if name is None:
            yield literal, None
        else:
            yield literal, name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")


def _without_end(command: str) -> str:
    """Without a backslash at the end, which goes on with nothing."""
    while (len(command) - len(command.rstrip("\\"))) % 2:
        command = command[:-1].rstrip()
    return command


def _joined(command: str) -> str:
    """In one line: a shell takes no notice of a backslash at a line's end, outside of single quotes."""

    def join(part: re.Match[str]) -> str:
        if part[0].startswith("'"):
            return part[0]
        return re.sub(_ESCAPED, lambda found: "" if found[0] == "\\\n" else found[0], part[0])

    return re.sub(f"{_SINGLE}|{_DOUBLE}|{_ESCAPED}", join, command)


def _needs_bash(command: str) -> bool:
    unquoted = re.sub(f"{_SINGLE}|{_ESCAPED}", "x", command)
    if _VARIABLE.search(unquoted):
        return True
    return _SYNTAX.search(re.sub(f"{_SINGLE}|{_DOUBLE}|{_ESCAPED}", "x", command)) is not None


def _quoted(template: str, names: Iterable[str], where: str) -> Iterator[str]:
    """The line in pieces, with a variable of bash for each field."""
    fields = enumerate(names)
    within, before, position = [""], "\n", 0
    while position < len(template):
        inner = within[-1]
        takes_backslash = inner in ("'", "#")
        match = (_CHARACTER if takes_backslash else _TOKEN).match(template, position)
        assert match  # noqa: S101 (any character matches)
        text, position = match[0], match.end()
        if text[-1] == _FIELD:
            number, name = next(fields)
            if _NOT_WITHIN & set(within) or (before == "$" and not takes_backslash):
                raise InvalidInput(
                    f"{where} has {{{name}}} where bash would not take its value as it is.",
                    f'Put it into a variable of the shell first, v={{{name}}}; and write "$v" there.',
                )
            yield _FORMS[inner].format(f"${{parameters[{number}]}}")
        else:
            _enter_or_leave(within, before, text)
            yield text
        before = text
    if within[-1] in ("'", "$'", '"'):
        raise InvalidInput(f"{where} is invalid: No closing quotation.", "Balance its quotes and braces.")


def _enter_or_leave(within: list[str], before: str, text: str) -> None:
    """Note what the text begins or ends, of which the innermost is the last."""
    inner = within[-1]
    if text == _ENDS.get(inner):
        within.pop()
    elif inner == "#" and text == "`" in within:  # bash looks for the end of these first
        while within.pop() != "`":
            pass
    elif inner in ("'", "$'", "#") or (inner == '"' and text not in ("$(", "$((", "`")):
        return
    elif text in ("((", "$(("):
        within += ["((", "(("]
    elif text in ("(", "$("):
        within.append("(")
    elif text in ("'", "$'", '"', "`", "<<") or (text == "#" and before in tuple(" \t\n;&|()")):
        within.append(text)
