"""Secret values in output and texts are replaced, in whatever form they are printed."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar, cast
from urllib.parse import quote, quote_plus

T = TypeVar("T")
MASK = b"***"
SHORTEST_MASKED = 5
"""A shorter value is in ordinary output by chance (`true`, `8080`): masking it says more than it hides."""
SHORTEST_PART = 8
"""The same for a line, or a string of JSON, of a longer value: such parts are often words (`users:`)."""


class Masker:
    """Replaces secret values in a stream of bytes that arrives in arbitrary pieces.

    A value is found as it is, quoted as by `repr`, JSON, a shell, HTML or a URL, in base64; so are the lines
    of a longer one, and the strings in one of JSON. Values shorter than `SHORTEST_MASKED` are passed over.
    """

    def __init__(self, values: Iterable[str]) -> None:
        from ahocorasick_rs import BytesAhoCorasick

        forms = {form for value in values if len(value) >= SHORTEST_MASKED for form in _forms(value)}
        # By their heads: output is searched for those alone, however many and long the forms are.
        self._forms: dict[bytes, list[bytes]] = {}
        # Longest first: of two that begin alike, the whole longer one is replaced.
        for form in sorted(forms, key=len, reverse=True):
            self._forms.setdefault(form[:SHORTEST_MASKED], []).append(form)
        self._heads = list(self._forms)
        self._beginnings = {head[:length] for head in self._heads for length in range(1, SHORTEST_MASKED)}
        self._search = BytesAhoCorasick(self._heads) if self._heads else None
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """Mask `piece`; what could be the beginning of a secret is held back until the next call."""
        masked, self._held = self._masked(self._held + piece, is_all=False)
        return masked

    def flush(self) -> bytes:
        """What is still held back: the stream has ended, so nothing longer comes of it."""
        held, self._held = self._held, b""
        return self._masked(held, is_all=True)[0]

    def stream(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """All pieces of a stream, masked."""
        for piece in pieces:
            yield self.feed(piece)
        yield self.flush()

    def text(self, value: str) -> str:
        """A whole text, masked at once."""
        return self._masked(_bytes(value), is_all=True)[0].decode(errors="surrogateescape")

    def tree(self, value: T) -> T:
        """Dataclasses, lists and mappings with every text in them masked; keys stay."""
        return cast(T, self._tree(value))

    def _tree(self, value: object) -> object:
        if is_dataclass(value) and not isinstance(value, type):
            changes = {field.name: self._tree(getattr(value, field.name)) for field in fields(value)}
            return replace(value, **changes)
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {key: self._tree(item) for key, item in value.items()}
            case list():
                return [self._tree(item) for item in value]
            case tuple():
                return tuple(self._tree(item) for item in value)
        return value

    def _masked(self, text: bytes, *, is_all: bool) -> tuple[bytes, bytes]:
        """The text masked, and its end, which has to be looked at again when more of it has come."""
        if self._search is None:
            return text, b""
        pieces, done = [], 0
        for number, start, _ in self._search.find_matches_as_indexes(text, overlapping=True):
            if start < done:
                continue
            for form in self._forms[self._heads[number]]:
                if text.startswith(form, start):
                    pieces += [text[done:start], MASK]
                    done = start + len(form)
                    break
                if not is_all and form.startswith(text[start:]):
                    return b"".join([*pieces, text[done:start]]), text[start:]
        end = len(text) if is_all else self._end(text, done)
        return b"".join([*pieces, text[done:end]]), text[end:]

    def _end(self, text: bytes, start: int) -> int:
        """The first place from `start` on where a form may begin that is too short yet to tell."""
        positions = range(max(start, len(text) - SHORTEST_MASKED + 1), len(text))
        return next((position for position in positions if text[position:] in self._beginnings), len(text))


def _forms(value: str) -> Iterator[bytes]:
    """All that a value is looked for as."""
    for part in {value, *_parts(value)}:
        yield from map(_bytes, _written(part))
        yield from _in_base64(_bytes(part))


def _parts(value: str) -> Iterator[str]:
    """Its lines, though their breaks be escaped, and the strings of JSON, which have lines themselves."""
    parts = [line.strip() for line in value.replace(r"\r", "\n").replace(r"\n", "\n").splitlines()]
    with contextlib.suppress(ValueError, RecursionError):
        parts += _texts(json.loads(value))
    for part in parts:
        if len(part) >= SHORTEST_PART and part != value:
            yield part
            yield from _parts(part)


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for item in value.values():
                yield from _texts(item)


def _written(text: str) -> set[str]:
    """As programs write it: as it is, quoted once or twice, and in a URL."""
    written = {text}
    for _ in range(2):
        written |= {form for text_form in written for form in _quoted(text_form)}
    content = _bytes(text)
    return written | {quote(content), quote(content, safe=""), quote_plus(content)}


def _quoted(text: str) -> Iterator[str]:
    for written in (repr, ascii):
        yield written(text)[1:-1]
        yield written('"' + text)[2:-1]  # beside a double quote single ones are escaped
    yield repr(_bytes(text))[2:-1]
    yield repr(b'"' + _bytes(text))[3:-1]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield shlex.quote("'" + text)[6:].removesuffix("'")
    yield text.replace("'", r"'\''")  # bash, of what it runs after `set -x`
    yield html.escape(text)
    yield html.escape(text, quote=False)
    yield html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")  # Jinja


def _in_base64(content: bytes) -> Iterator[bytes]:
    """Wherever in a longer content it stands: without the digits that its neighbours have a part in.

    With the last of them where it stands at the end.
    """
    for before in range(3):
        start, end = -(-before * 8 // 6), (before + len(content)) * 8 // 6
        to_the_end = base64.b64encode(bytes(before) + content)[start:]
        within = to_the_end[: end - start]
        for digits in (within, to_the_end, to_the_end.rstrip(b"=")):
            yield digits
            yield digits.translate(bytes.maketrans(b"+/", b"-_"))
    # In rows, as `base64` prints it.
    yield from (row for row in base64.encodebytes(content).split() if len(row) >= SHORTEST_PART)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
