"""Where a request may say that artifacts are: in the server's own store, and nowhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from mlflow_server.routes import Check

# An experiment's place is in a field, of which protobuf takes two spellings; a trace's is in a tag.
LOCATION_FIELDS = ("artifact_location", "artifactLocation")
LOCATION_TAGS = ("mlflow.artifactLocation", "mlflow.trace.archiveLocation")
SOURCE_FIELDS = ("source",)
# A prompt is a model version without files.
_NO_FILES = ("dummy-source", "prompt-template")


def refusal(check: Check, body: bytes) -> str | None:
    """Why a request with this body is refused; None for one that may pass."""
    find_locations = _LOOKS.get(check)
    if find_locations is None:
        return None
    try:
        payload = json.loads(body or b"null")
        if isinstance(payload, str):  # MLflow reads what was encoded twice
            payload = json.loads(payload)
        locations = list(find_locations(payload))
    except (ValueError, RecursionError):
        return "The body is not JSON."
    for name, value in locations:
        fits = _is_source if check == "source" else _is_location
        if value and not fits(value):
            return (
                f"{name} has to be in this server's own store. Leave it out, or give mlflow-artifacts:/FOLDER"
                f"{', runs:/ or models:/' if check == 'source' else ''}."
            )
    return None


def _is_location(value: object) -> bool:
    """Without a host: a client would send its password there."""
    if not isinstance(value, str) or any(mark in value for mark in "?#\\") or not value.isprintable():
        return False
    parts = urlsplit(value)
    path = _unquoted(parts.path)
    return (
        parts.scheme == "mlflow-artifacts"
        and not parts.netloc
        and path.startswith("/")
        and _is_straight(path)
    )


def _is_source(value: object) -> bool:
    if value in _NO_FILES or _is_location(value):
        return True
    is_name = isinstance(value, str) and re.match(r"(runs|models):/(?!/)", value) and value.isprintable()
    return bool(is_name) and _is_straight(_unquoted(str(value)))


def _is_straight(path: str) -> bool:
    return ".." not in re.split(r"[/\\]", path)


def _unquoted(text: str) -> str:
    while (less := unquote(text)) != text:
        text = less
    return text


def _fields(*names: str) -> Callable[[object], Iterator[tuple[str, object]]]:
    def look(said: object) -> Iterator[tuple[str, object]]:
        if isinstance(said, Mapping):
            yield from ((name, said[name]) for name in names if name in said)

    return look


def _tags(payload: object) -> Iterator[tuple[str, object]]:
    """Tags anywhere: as an object, or as objects with key and value."""
    if isinstance(payload, Mapping):
        yield from ((name, payload[name]) for name in LOCATION_TAGS if name in payload)
        if payload.get("key") in LOCATION_TAGS:
            yield str(payload["key"]), payload.get("value")
    if isinstance(payload, (Mapping, list)):
        for inner in payload.values() if isinstance(payload, Mapping) else payload:
            yield from _tags(inner)


_LOOKS: Mapping[Check, Callable[[object], Iterator[tuple[str, object]]]] = {
    "location": _fields(*LOCATION_FIELDS),
    "source": _fields(*SOURCE_FIELDS),
    "tags": _tags,
}
