"""Names that the server has others for: those made up while it was away, and those it cannot store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from trainkit.spool.journal import Record

OFFLINE_TAG = "trainer.offline_id"
OFFLINE = "mlflow-artifacts:/offline/"  # what addresses that are made up begin with
# Lone surrogates are what Python makes of bytes that are no UTF-8.
_NOT_STORED = re.compile("#|%(?=[0-9A-Fa-f]{2})|[\x00-\x1f\x7f\ud800-\udfff]")


def stored(path: str) -> str:
    """The path of an artifact as MLflow's server can store it.

    The server refuses `#`, control characters and what is no UTF-8, and takes `%41` for `A`.
    """
    return _NOT_STORED.sub(_escaped, path)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    byte = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"~{byte:02X}"


def translated(record: Record, names: Mapping[str, str]) -> Record:
    """The record in the server's names."""
    return cast(Record, json.loads(replaced(json.dumps(record), names))) if names else record


def replaced(text: str, names: Mapping[str, str]) -> str:
    """The text with what was made up as the server calls it."""
    # Longest first: an address has an id in it. Made-up names are random, so nothing else reads like them.
    made_up = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(made_up, lambda match: names[match[0]], text) if made_up else text


def by_tag(local: str) -> str:
    """The filter that finds on the server what has this made-up name."""
    return f"tags.`{OFFLINE_TAG}` = '{local}'"
