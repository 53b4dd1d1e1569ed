import ast
import base64
import contextlib
import html
import json
import random
import shlex
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

import markupsafe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trainer.masking import SHORTEST_MASKED, SHORTEST_PART, Masker

CANARY = "canary-7f3a"
KEY = """-----BEGIN KEY-----
bWFkZS11cC1saW5lLW9uZS1vZi1hLWtleQ==
bWFkZS11cC1saW5lLXR3by1vZi1hLWtleQ==
-----END KEY-----
"""


def masked_in_pieces(values: list[str], pieces: list[bytes]) -> bytes:
    masker = Masker(values)
    return b"".join([*(masker.feed(piece) for piece in pieces), masker.flush()])


@pytest.mark.parametrize(
    ("values", "text", "expected"),
    [
        (["hunter2"], b"a hunter2 b hunter2", b"a *** b ***"),
        (["hunter2"], b"a hunter", b"a hunter"),
        (["hunter2"], b"a huhunter2", b"a hu***"),
        (["abcde", "abcdefgh"], b"abcdefgh abcde", b"*** ***"),
        (["abcdefgh", "cdefg"], b"abcdefgh cdefg", b"*** ***"),
        (["abcabd"], b"abcabcabd", b"abc***"),
        (["aaaaa"], b"aaaaaaa", b"***aa"),
        (["***ab"], b"***ab", b"***"),
        (["a.c*e"], b"abcde a.c*e", b"abcde ***"),
        (["žluťo"], "je žluťo ž".encode(), "je *** ž".encode()),
        (["hunter2"], b"\xff\xfe hunter2 \xc5", b"\xff\xfe *** \xc5"),
        (["line\nbreak"], b"line\nbreak\r\n", b"***\r\n"),
        ([], b"as it is \xff", b"as it is \xff"),
    ],
)
def test_masked_at_once_or_byte_by_byte(values: list[str], text: bytes, expected: bytes) -> None:
    assert masked_in_pieces(values, [text]) == expected
    assert masked_in_pieces(values, [bytes([byte]) for byte in text]) == expected


def test_however_a_text_is_cut_it_is_masked_the_same() -> None:
    chance = random.Random(7)
    for _ in range(3000):
        values = ["".join(chance.choices("ab", k=chance.randint(5, 9))) for _ in range(chance.randint(1, 3))]
        text = "".join(chance.choices("ab", k=60)).encode()
        cuts = sorted(chance.choices(range(len(text) + 1), k=chance.randint(0, 20)))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert masked_in_pieces(values, pieces) == Masker(values).text(text.decode()).encode(), (
            values,
            pieces,
        )


def test_only_what_may_be_a_secret_is_held_back() -> None:
    masker = Masker(["hunter2"])
    assert masker.feed(b"out hun") == b"out "
    assert masker.feed(b"t!") == b"hunt!"
    assert masker.feed(b"hunter") == b""
    assert masker.flush() == b"hunter"
    assert masker.flush() == b""


def test_a_text_that_is_no_unicode_is_masked() -> None:
    assert Masker(["hunter2"]).text("caf\udce9 hunter2") == "caf\udce9 ***"


@dataclass(frozen=True)
class Omission:
    """Something of several texts."""

    words: tuple[str, ...]
    seed: int | None = None


def test_every_text_in_data_is_masked() -> None:
    payload = {
        "run": Omission(("python", f"--key={CANARY}")),
        "data": [{"name": CANARY, "files": 3}],
        "seed": None,
    }
    masked = {"run": Omission(("python", "--key=***")), "data": [{"name": "***", "files": 3}], "seed": None}
    assert Masker([CANARY]).tree(payload) == masked
    assert Masker([]).tree(payload) == payload


SEARCH = settings(deadline=None, database=None, max_examples=40)

# How programs print a text, and how a reader of the log gets it back.
PRINTED: dict[str, tuple[Callable[[str], str], Callable[[str], object]]] = {
    "print": (str, str),
    "repr": (repr, ast.literal_eval),
    "ascii": (ascii, ast.literal_eval),
    "bytes": (lambda text: repr(text.encode()), lambda out: ast.literal_eval(out).decode()),
    "a list": (lambda text: repr([text]), lambda out: ast.literal_eval(out)[0]),
    "JSON": (json.dumps, json.loads),
    "JSON in UTF-8": (lambda text: json.dumps(text, ensure_ascii=False), json.loads),
    "JSON in JSON": (lambda text: json.dumps(json.dumps(text)), lambda out: json.loads(json.loads(out))),
    "repr in JSON": (lambda text: json.dumps(repr(text)), lambda out: ast.literal_eval(json.loads(out))),
    "a shell": (shlex.quote, lambda out: shlex.split(out)[0]),
    "set -x": (lambda text: "'" + text.replace("'", "'\\''") + "'", lambda out: shlex.split(out)[0]),
    "HTML": (html.escape, html.unescape),
    "HTML's text": (lambda text: html.escape(text, quote=False), html.unescape),
    "Jinja": (lambda text: str(markupsafe.escape(text)), html.unescape),
    "JSON in HTML": (lambda text: html.escape(json.dumps(text)), lambda out: json.loads(html.unescape(out))),
    "HTML in JSON": (lambda text: json.dumps(html.escape(text)), lambda out: html.unescape(json.loads(out))),
    "a URL's path": (urllib.parse.quote, urllib.parse.unquote),
    "a URL's part": (lambda text: urllib.parse.quote(text, safe=""), urllib.parse.unquote),
    "a URL's query": (urllib.parse.quote_plus, urllib.parse.unquote_plus),
}
text = st.text(st.characters(exclude_characters="*", exclude_categories=["Cs"]), max_size=12)
secret = st.text(st.characters(exclude_characters="*", exclude_categories=["Cs"]), min_size=SHORTEST_MASKED)
quotes = st.text(st.sampled_from("'\"\\\n\r\t $ab{}é"), min_size=SHORTEST_MASKED)
lines = st.lists(st.text(st.sampled_from("abcdefg+/='\""), min_size=SHORTEST_PART), min_size=2, max_size=4)


def cut(text: bytes, places: list[int]) -> list[bytes]:
    """The text in pieces."""
    at = sorted(place % (len(text) + 1) for place in places)
    return [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]


@pytest.mark.parametrize("program", PRINTED)
@given(secret=secret | quotes, before=text, after=text, cuts=st.lists(st.integers(0, 999)))
@SEARCH
def test_however_a_secret_is_printed_nobody_reads_it(
    program: str, secret: str, before: str, after: str, cuts: list[int]
) -> None:
    prints, reads = PRINTED[program]
    printed = prints(before + secret + after)
    seen = masked_in_pieces([secret], cut(printed.encode(), cuts)).decode()
    assert seen != printed
    assert secret not in seen
    assert seen == Masker([secret]).text(printed)
    with contextlib.suppress(ValueError, SyntaxError):  # a mask is no part of the notation
        assert secret not in str(reads(seen))


@pytest.mark.parametrize("size", range(SHORTEST_MASKED, SHORTEST_MASKED + 3))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_alone_in_base64_leaves_no_digit(encode: Callable[[bytes], bytes], size: int) -> None:
    secret = "s3cr>?tX"[:size]
    said = encode(secret.encode())
    assert Masker([secret]).text(f"<{said.decode()}>") == "<***>"
    assert Masker([secret]).text(f"<{said.decode().rstrip('=')}>") == "<***>"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
@given(secret=secret, before=st.binary(max_size=5), after=st.binary(max_size=5))
@SEARCH
def test_wherever_a_secret_is_in_base64_it_is_masked(
    encode: Callable[[bytes], bytes], secret: str, before: bytes, after: bytes
) -> None:
    printed = encode(before + secret.encode() + after)
    if b"\n" not in printed.strip():  # else the rows of the secret by itself are masked
        assert b"***" in masked_in_pieces([secret], [printed])


@given(lines=lines, program=st.sampled_from([*PRINTED]), which=st.integers(0, 3), form=st.integers(0, 2))
@SEARCH
def test_a_line_of_a_secret_is_as_secret_as_the_whole(
    lines: list[str], program: str, which: int, form: int
) -> None:
    line = lines[which % len(lines)]
    whole = ["\n".join(lines), r"\n".join(lines), json.dumps({"a": {"key": "\n".join(lines)}})][form]
    printed = PRINTED[program][0](f"<{line}>")
    assert line not in Masker([whole]).text(printed)
    assert Masker([whole]).text(printed) != printed


@given(secret=secret, other=st.text(max_size=60))
@SEARCH
def test_what_shares_no_five_characters_with_a_secret_stays_as_it_is(secret: str, other: str) -> None:
    masker = Masker([secret])
    assert masker.text(other) == other or any(head in other.encode() for head in masker._heads)


def test_a_key_of_several_lines_in_each_form_that_shows_it() -> None:
    account = '{"type": "service_account", "key": "abc"}'
    masker = Masker([KEY, account])
    for form in (KEY, repr(KEY), KEY.splitlines()[1], json.dumps({"key": KEY, "account": account}),
                 base64.b64encode(KEY.encode()).decode(), base64.encodebytes(KEY.encode()).decode(),
                 json.dumps(KEY.splitlines()), repr(json.loads(account))):  # fmt: skip
        seen = masker.text(form)
        assert "***" in seen
        for needle in ("bWFkZS11", "BEGIN KEY", "service_account", "YldGa1pT"):
            assert needle not in seen


def test_short_values_and_short_lines_are_words() -> None:
    masker = Masker(["true", "users:\n- name: somebody-else\n"])
    assert masker.text("true users: name: somebody-else") == "true users: name: somebody-else"
    assert masker.text("  - name: somebody-else, in a list") == "  ***, in a list"


def test_a_ruler_is_no_beginning_of_a_key() -> None:
    masker = Masker([KEY])
    ruler = b"-" * 60 + b"\n"
    assert masker.feed(ruler) + masker.feed(b"done\n") + masker.flush() == ruler + b"done\n"
